"""The Hugging Face Hub: models at hf://user/repo[@revision], to load and to publish."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from zoo.config.errors import UserError, one_line

SCHEME = "hf://"
ADDRESS = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>.+))?")
DESCRIPTION, WEIGHTS = "model.json", "model.safetensors"  # names of an export in a repository
LIBRARY = "lightning-zoo"
LOG_IN = "run `hf auth login`, or set HF_TOKEN to a token with access"


def is_address(checkpoint: object) -> bool:
    """Return whether a checkpoint is named by its address on the Hub."""
    return isinstance(checkpoint, str) and checkpoint.startswith(SCHEME)


def parse(address: str) -> tuple[str, str | None]:
    """Split an address into (user/repo, revision); the revision is None without one.

    Raises:
        UserError: It is malformed.
    """
    match = ADDRESS.fullmatch(address)
    if not match:
        raise UserError(f"{address} is not of the form {SCHEME}user/repo or ...@revision.")
    return match["repo"], match["revision"]


def download(address: str) -> Path:
    """Return the .json file of an exported model on the Hub, with its weights beside it.

    Files come from the cache of huggingface_hub if they are in it. Its environment variables count:
    HF_TOKEN, HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT.

    Args:
        address: hf://user/repo or hf://user/repo@revision, a branch, tag or commit.

    Raises:
        UserError: The model cannot be downloaded.
    """
    repo, revision = parse(address)
    with explained(address):
        from huggingface_hub import hf_hub_download

        file = Path(hf_hub_download(repo, DESCRIPTION, revision=revision, library_name=LIBRARY))
        # The folder is the commit of the first file. A branch may move between the downloads.
        hf_hub_download(repo, WEIGHTS, revision=file.parent.name, library_name=LIBRARY)
    return file


def upload(address: str, files: Mapping[str, Path], private: bool = False) -> str:
    """Upload files to the Hub in one commit.

    Args:
        address: hf://user/repo or hf://user/repo@branch. A missing repository is created.
        files: {name in the repository: file}.
        private: The repository must be private.

    Returns:
        The address of the commit's web page.

    Raises:
        UserError: The files cannot be uploaded, or the repository exists and is public although it
            must be private.
    """
    repo, branch = parse(address)
    with explained(address):
        from huggingface_hub import CommitOperationAdd, HfApi

        api = HfApi(library_name=LIBRARY)
        # None: the default of the organization.
        api.create_repo(repo, private=private or None, exist_ok=True)
        if private and not api.model_info(repo).private:
            raise UserError(f"{address} exists and is public: nothing was uploaded.")
        operations = [CommitOperationAdd(name, file) for name, file in files.items()]
        message = f"Upload a model of {LIBRARY}"
        commit = api.create_commit(repo, operations, commit_message=message, revision=branch)
    return commit.commit_url


def damaged(address: str, file: Path, error: UserError) -> UserError:
    """Return the error for a file of the Hub that is damaged.

    Args:
        address: The address of the model.
        file: Its .json file in the cache.
        error: What is wrong with it.
    """
    folder = file.parents[2]  # <cache>/models--user--repo/snapshots/<commit>/model.json
    return UserError(f"{address}: {error} To download it again, remove {folder}.")


@contextmanager
def explained(address: str) -> Iterator[None]:
    """Turn the errors of huggingface_hub into one message each."""
    try:
        from huggingface_hub import errors
    except ImportError as error:
        raise UserError(f'{address}: python -m pip install "lightning-zoo[hub]"') from error
    repo, revision = parse(address)
    try:
        yield
    except UserError:
        raise
    except errors.GatedRepoError as error:
        raise UserError(
            f"{address}: its owner restricts access. Ask for it on the page of {repo}; then "
            f"{LOG_IN}."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"{address}: there is no repository {repo}, or it is private. If it is private, "
            f"{LOG_IN}."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(
            f"{address}: {repo} has no revision {revision or 'main'}. It must be a branch, tag or "
            "commit."
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise not_cached(address, error) from error
    except errors.EntryNotFoundError as error:
        raise UserError(
            f"{address} is not a model of this zoo: it needs {DESCRIPTION} and {WEIGHTS}, as "
            "`python -m zoo.export hub=...` uploads them."
        ) from error
    except errors.HfHubHTTPError as error:
        refused = error.response is not None and error.response.status_code in (401, 403)
        way_out = f" Access was refused: {LOG_IN}." if refused else ""
        raise UserError(f"{address}: {one_line(error)}{way_out}") from error
    except Exception as error:  # the errors of its HTTP client have no common class
        raise UserError(f"{address}: {one_line(error)}") from error


def not_cached(address: str, error: Exception) -> UserError:
    """Return the error for a model that is not in the cache while the Hub cannot be reached."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return UserError(
            f"{address} is not in the cache {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE is set: "
            "load it once without HF_HUB_OFFLINE."
        )
    return UserError(
        f"{address} is not in the cache {constants.HF_HUB_CACHE}, and {constants.ENDPOINT} cannot "
        f"be reached ({one_line(error.__cause__ or error)}): check the network."
    )
