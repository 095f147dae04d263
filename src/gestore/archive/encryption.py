"""How is an archive kept from everybody but those it is meant for? By age, a block at a time.

The library works in a thread of its own, on the other side of a pipe: whatever the size, little of
an archive is in memory. What opens archives and what seals them is handed in; nothing here looks
into settings, and no key is ever part of a message.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import IO, Any, TypeAlias

from ..errors import ArchiveDamaged, ArchiveNotRead, MissingExtra, UsageError
from .storage import read_bytes

AGE = ".age"
_MAGIC = b"age-encryption.org/"
_ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
_IDENTITY = "AGE-SECRET-KEY-"
_SSH_KEY = b"-----BEGIN OPENSSH PRIVATE KEY-----"
# As many bytes of a file as `is_encrypted` has to see.
START_BYTES = len(_ARMOR)

Ask: TypeAlias = "Callable[[str], str]"
"""Asks somebody for a passphrase; the argument is what they are shown."""


def is_encrypted(start: bytes) -> bool:
    """Whether a file that begins so is one of age's."""
    return start.startswith((_MAGIC, _ARMOR))


# Who may read -------------------------------------------------------------------------------------


def recipients_of(texts: Sequence[str]) -> list[Any]:
    """age's recipients: `age1…`, or a line of `ssh-ed25519` or `ssh-rsa`. `UsageError` shows the
    one that is none."""
    pyrage = _pyrage()
    recipients = []
    for text in texts:
        kind = pyrage.ssh if text.startswith("ssh-") else pyrage.x25519
        try:
            recipients.append(kind.Recipient.from_str(text.strip()))
        except pyrage.RecipientError as error:
            if _IDENTITY in text.upper():
                raise UsageError(
                    "A secret key is named as a recipient.",
                    hint="Recipients are public: age-keygen -y FILE prints yours.",
                ) from None
            raise UsageError(
                f"{text!r} is no recipient: {error}.",
                hint="Name a public key of age's (age1…), or of SSH's (ssh-ed25519 …).",
            ) from error
    return recipients


def identities_of(name: str, ask: Ask) -> list[Any]:
    """What opens archives: an identity file of age's, an SSH key, or an identity file that is
    itself encrypted under a passphrase, which is asked for."""
    pyrage = _pyrage()
    if _IDENTITY in name.upper():
        raise UsageError(
            "A secret key is typed where a file is to be named: others may have seen it.",
            hint="Write it into a file that you alone can read, and name that.",
        )
    data = read_bytes(name)
    if is_encrypted(data):
        data = _opened_by_passphrase(name, data, ask)
    identities = []
    # The library's words may repeat what it read: they are not passed on.
    with suppress(pyrage.IdentityError, UnicodeDecodeError):
        if data.startswith(_SSH_KEY):
            identities.append(pyrage.ssh.Identity.from_buffer(data))
        else:
            lines = map(str.strip, data.decode().splitlines())
            secrets = [line for line in lines if line and not line.startswith("#")]
            identities.extend(map(pyrage.x25519.Identity.from_str, secrets))
    if not identities:
        raise ArchiveNotRead(
            f"{name} holds no identity that opens archives.",
            hint="Name a file made by age-keygen, or an SSH key without a passphrase.",
        )
    return identities


def _opened_by_passphrase(name: str, data: bytes, ask: Ask) -> bytes:
    pyrage = _pyrage()
    passphrase = ask(f"Passphrase of {name}: ")
    try:
        opened: bytes = pyrage.passphrase.decrypt(data, passphrase)
    except pyrage.DecryptError:
        raise ArchiveNotRead(f"{name} was not opened by this passphrase.") from None
    return opened


# Writing ------------------------------------------------------------------------------------------


@contextmanager
def encrypting(sink: IO[bytes], recipients: Sequence[Any]) -> Iterator[IO[bytes]]:
    """A file whose writes arrive in `sink` encrypted; the sink stays open."""
    pyrage = _pyrage()
    watched = _Watched(sink)
    exit_, entrance = _pipe()
    with ThreadPoolExecutor(1, "gestore-age") as pool:
        done = pool.submit(_into, watched, exit_, recipients)
        try:
            yield entrance
            entrance.close()
        except BrokenPipeError:
            # The other end is gone: why is known there.
            done.exception()
            if watched.error is None:
                raise
        finally:
            with suppress(BrokenPipeError):
                entrance.close()
            failure = done.exception()
    if watched.error is not None:
        raise watched.error
    if isinstance(failure, pyrage.EncryptError):
        raise UsageError(f"The archive could not be encrypted: {failure}.") from failure
    if failure is not None:
        raise failure


def _into(sink: _Watched, source: IO[bytes], recipients: Sequence[Any]) -> None:
    with source:
        _pyrage().encrypt_io(source, sink, list(recipients))


class _Watched:
    """A sink that remembers what went wrong in it: the library passes only words on."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink = sink
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._sink.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        """Whoever opened the sink flushes it."""


# Reading ------------------------------------------------------------------------------------------


@contextmanager
def decrypting(name: str, file: IO[bytes], identities: Sequence[Any]) -> Iterator[IO[bytes]]:
    """A file that reads what was encrypted into `file`. A block that was changed, and an end that
    is missing, are `ArchiveDamaged` when the reader comes to them."""
    if not identities:
        raise ArchiveNotRead(
            f"{name} is encrypted.", hint="Name what opens it with --identity FILE."
        )
    exit_, entrance = _pipe()
    with ThreadPoolExecutor(1, "gestore-age") as pool:
        done = pool.submit(_out_of, file, entrance, identities)
        try:
            yield _Decrypted(name, exit_, done)  # type: ignore[misc]
        finally:
            # Who has read enough closes: the other end is told by its next write.
            exit_.close()


def _out_of(file: IO[bytes], entrance: IO[bytes], identities: Sequence[Any]) -> None:
    with suppress(BrokenPipeError), entrance, suppress(BrokenPipeError):
        _pyrage().decrypt_io(file, entrance, list(identities))


class _Decrypted:
    """The clear bytes; what went wrong on the other side is raised at their end."""

    def __init__(self, name: str, source: IO[bytes], done: Future[None]) -> None:
        self._name = name
        self._source = source
        self._done = done

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        if not data or (size > 0 and len(data) < size):
            self._check()
        return data

    def _check(self) -> None:
        pyrage = _pyrage()
        try:
            self._done.result()
        except pyrage.DecryptError as error:
            if "matching keys" in str(error):
                raise ArchiveNotRead(
                    f"{self._name} is encrypted for somebody else: this identity does not open it.",
                    hint="Name another with --identity FILE.",
                ) from error
            raise ArchiveDamaged(f"{self._name} is damaged: {error}.") from error
        except OSError as error:
            if error.errno is not None:
                raise
            # The library's own word for a block that does not match its seal.
            raise ArchiveDamaged(
                f"{self._name} is damaged, or cut off: a block of it does not match its seal.",
                hint="Fetch it again from where it was whole.",
            ) from error


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    exit_, entrance = os.pipe()
    return os.fdopen(exit_, "rb", 1 << 18), os.fdopen(entrance, "wb", 1 << 18)


def require() -> None:
    """`MissingExtra` if the library is not installed."""
    _pyrage()


def _pyrage() -> Any:
    try:
        import pyrage
    except ImportError as error:
        raise MissingExtra(
            "Encrypted archives need the library pyrage.",
            hint="Install it with: pip install 'django-gestore[age]'",
        ) from error
    return pyrage
