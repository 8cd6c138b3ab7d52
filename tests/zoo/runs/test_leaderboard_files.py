"""The leaderboard's CSV and Markdown tables."""

from dataclasses import replace

from zoo.runs.leaderboard_files import Entry, points, read_csv, write_csv, write_markdown

GAN = Entry(
    "gan_digits",
    "gan",
    "digits 8x8",
    {
        "fid_digits_2k": [10.0, 12.0, 14.0],
        "real_fid_digits_2k_extrapolated": [1.5, 1.5, 1.5],
        "recall_k3_digits_1300": [0.5, 0.5, 0.5],
        "real_recall_k3_digits_360": [0.75, 0.75, 0.75],
        "parameters": [12345.0],
        "sampling_ms": [0.5, 0.5, 0.5],
    },
)
VAE = Entry(
    "vae_digits",
    "vae",
    "digits 8x8",
    {
        "fid_digits_2k": [4.0, 4.0, 4.0],
        "bits_per_dim_bound_levels17_test": [2.0],
        "bits_per_dim_iwae_64_levels17_test": [1.5],
        "sampling_ms": [2.0],
    },
)
AUDIO = Entry("wavenet_tones", "wavenet", "tones", {"accuracy_x": [0.25], "sampling_ms": [4.0]})


def test_a_csv_file_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "board.csv"
    write_csv([GAN, VAE, AUDIO], file)
    assert read_csv(file) == {entry.checkpoint: entry for entry in (GAN, VAE, AUDIO)}
    lines = file.read_text().splitlines()
    assert "digits 8x8,gan_digits,gan,fid_digits_2k,12,2,10 12 14" in lines
    assert len(lines) == 1 + sum(len(entry.values) for entry in (GAN, VAE, AUDIO))


def test_each_data_set_has_a_table_with_the_best_model_first(tmp_path):
    write_markdown([GAN, AUDIO, VAE], tmp_path / "board.md", "python -m zoo.leaderboard")
    text = (tmp_path / "board.md").read_text()
    digits, tones = text.split("## ")[1:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in digits.splitlines()]
    head, models = rows[2], rows[4:7]
    assert head[:3] == ["model", "`fid_digits_2k`", "`recall_k3_digits_1300`"]
    assert head[3:] == ["`bits_per_dim_iwae_64_levels17_test`", "`parameters`", "`sampling_ms`"]
    assert models[0][:4] == ["`vae_digits`", "4 ± 0", "", "1.5"]
    assert models[1] == ["`gan_digits`", "12 ± 2", "0.5 ± 0", "", "12,345", "0.5"]
    assert models[2][:3] == ["real test images", "1.5", "0.75 (360 images)"]
    assert "| `wavenet_tones` | 0.25 | 4 |" in tones


def test_the_figure_has_the_models_with_a_fid():
    third = replace(VAE, checkpoint="cvae_digits")
    assert points([GAN, VAE, AUDIO, third]) == {
        "digits 8x8, fid_digits_2k": [
            ("gan_digits", 0.5, 12.0),
            ("vae_digits", 2.0, 4.0),
            ("cvae_digits", 2.0, 4.0),
        ]
    }
    assert points([GAN, VAE, AUDIO]) == {}, "two points are no comparison"


def test_the_page_says_what_it_holds(tmp_path):
    file = tmp_path / "mine.md"
    write_markdown([AUDIO], file, "python -m zoo.leaderboard out=mine", complete=False)
    text = " ".join(file.read_text().split())
    assert "1 pretrained model under one protocol. `python -m zoo.leaderboard out=mine`" in text
    assert "[mine.csv](mine.csv)" in text
    assert "Values are from one evaluation seed of one trained model." in text
    write_markdown([GAN], file, "python -m zoo.leaderboard")
    text = " ".join(file.read_text().split())
    assert "All pretrained models under one protocol." in text
    assert "mean ± standard deviation over 3 evaluation seeds" in text
    write_markdown([GAN, AUDIO], file, "python -m zoo.leaderboard")
    assert "over 1 to 3 evaluation seeds" in file.read_text()
