"""Where do archives lie, and by which keys are they sealed and opened? As was asked for, and as the
settings say; a stage of whatever writes or reads one."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from . import conf
from .archive.encryption import AGE, Ask, identities_of, recipients_of
from .archive.place import Place
from .archive.reader import ArchiveReader, open_archive
from .archive.shelf import Shelf
from .archive.signing import Signer, TrustedSigners, digest_of, signer_of
from .archive.storage import STANDARD
from .archive.writer import Destination
from .errors import ConfigurationError, UsageError


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where an archive lies: in `STORAGES[storage]`, in the `bucket` of the settings, else in a
    file. `encrypt_to` are who may open what is written (`age1…`, `ssh-ed25519 …`), in place of
    `GESTORE["RECIPIENTS"]`; `sign` is a file with a private key, `identities` are files that open
    what is read. Such a file may be under a passphrase: `ask` is shown a prompt and answers it.
    """

    storage: str = ""
    bucket: bool = False
    encrypt_to: tuple[str, ...] = ()
    sign: str = ""
    identities: tuple[str, ...] = ()
    ask: Ask | None = field(default=None, compare=False, repr=False)

    @property
    def writes_specially(self) -> bool:
        """Whether something is said that only the writing of an archive can do."""
        return bool(self.storage or self.bucket or self.encrypt_to or self.sign)

    def words(self, name: str) -> list[str]:
        """What is typed after a command that is to read the archive."""
        words = [name]
        if self.storage:
            words += ["--storage", self.storage]
        if self.bucket:
            words += ["--bucket"]
        if name.endswith(AGE):
            for identity in self.identities or ("FILE",):
                words += ["--identity", identity]
        return words


class Keeper:
    """Writes and reads as a `Keeping` says. Who is asked for a passphrase is asked once, when this
    is made and when a destination is."""

    def __init__(self, keeping: Keeping) -> None:
        self._keeping = keeping
        self._settings = conf.load()
        self.shelf = _shelf(keeping)
        self._identities = [
            identity for name in keeping.identities for identity in identities_of(name, self._ask)
        ]

    @property
    def has_identities(self) -> bool:
        return bool(self._identities)

    def place(self, name: str) -> Place:
        return Place(name, self.shelf)

    def destination(
        self, name: str, *, form: str = "", overwrite: bool = False, with_files: bool = False
    ) -> Destination:
        """Where and how an archive of this name is written; for `-`, `form` is its ending:
        `jsonl`, with files `tar`, unless it is given."""
        typed = self._keeping.encrypt_to
        form = form or ("tar" if with_files else "jsonl")
        if name == STANDARD and typed and not form.endswith(AGE):
            form += AGE
        is_clear = not (form if name == STANDARD else name).endswith(AGE)
        if is_clear and typed:
            raise UsageError(
                f"{name} does not end in {AGE}, and it is to be encrypted.",
                hint=f"Name it {name}{AGE}.",
            )
        destination = Destination.parse(
            name,
            form=form,
            overwrite=overwrite,
            with_files=with_files,
            shelf=self.shelf,
            recipients=() if is_clear else self._recipients(),
            signer=self._signer(),
        )
        if is_clear and self._settings.require_encryption:
            what = "Standard output" if name == STANDARD else name
            raise UsageError(
                f'{what} would not be encrypted: GESTORE["REQUIRE_ENCRYPTION"] asks for that.',
                hint=f"End the name, or --format, in {AGE}.",
            )
        return destination

    def opened(self, name: str) -> AbstractContextManager[ArchiveReader]:
        """The archive, to be read; where only some are trusted, with their signature."""
        return open_archive(
            name,
            self._settings.max_archive_bytes,
            shelf=self.shelf,
            identities=self._identities,
            trusted=self.trusted(),
        )

    def file_sha256(self, name: str) -> str:
        """The digest of all bytes of the archive as they lie there now."""
        with self.place(name).readable(self._settings.max_archive_bytes) as file:
            return digest_of(file)

    def trusted(self) -> TrustedSigners | None:
        """Whose signature is believed; None where none is asked for."""
        keys = self._settings.trusted_signers
        if not keys:
            return None
        try:
            return TrustedSigners(keys)
        except UsageError as error:
            raise ConfigurationError(error.message, hint=error.hint) from error

    def _recipients(self) -> tuple[object, ...]:
        typed = self._keeping.encrypt_to
        if typed:
            return tuple(recipients_of(typed))
        try:
            return tuple(recipients_of(self._settings.recipients))
        except UsageError as error:
            raise ConfigurationError(
                f'GESTORE["RECIPIENTS"]: {error.message}', hint=error.hint
            ) from error

    def _signer(self) -> Signer | None:
        return signer_of(self._keeping.sign, self._ask) if self._keeping.sign else None

    def _ask(self, prompt: str) -> str:
        if self._keeping.ask is None:
            raise UsageError(
                f"{prompt.removesuffix(': ')} is needed, and there is nobody to ask.",
                hint="Call with Keeping(ask=...), or name a file without a passphrase.",
            )
        return self._keeping.ask(prompt)


def seals_by_default(keeping: Keeping) -> bool:
    """Whether what gets its name from us is to be encrypted: somebody is named who opens it."""
    return bool(keeping.encrypt_to or conf.load().recipients)


def _shelf(keeping: Keeping) -> Shelf | None:
    if keeping.storage and keeping.bucket:
        raise UsageError("A storage and the bucket are named.", hint="Say one of them.")
    if keeping.storage:
        return Shelf(keeping.storage, conf.storage(keeping.storage))
    return Shelf(conf.BUCKET, conf.bucket()) if keeping.bucket else None
