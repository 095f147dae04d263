"""Which kinds of column do projects invent?

Money (a value object), an encrypted text, a key that looks different in Python and in the database,
a picture that opens its file, and a value that cannot come back from text.
"""

import base64
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.signals import post_init


@dataclass(frozen=True)
class Money:
    amount: Decimal
    currency: str

    def __str__(self) -> str:
        # Not what is stored: whoever archives `str(value)` loses the exact amount.
        return f"about {self.amount:.0f} {self.currency}"


class MoneyField(models.CharField):
    """Stored as `EUR 12.340`."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Money | None:
        return self.to_python(value)

    def to_python(self, value: Any) -> Money | None:
        if value is None or isinstance(value, Money):
            return value
        currency, amount = value.split(" ")
        return Money(Decimal(amount), currency)

    def get_prep_value(self, value: Money | str | None) -> str | None:
        if isinstance(value, Money):
            return f"{value.currency} {value.amount}"
        return value

    def value_to_string(self, obj: models.Model) -> str | None:
        return self.get_prep_value(self.value_from_object(obj))


class EncryptedTextField(models.TextField):
    """Plain in Python, unreadable in the database. A toy cipher: the same text, the same bytes."""

    MARK = "enc:"
    SECRET = b"zoo"

    def get_db_prep_save(self, value: str | None, connection: Any) -> str | None:
        value = super().get_db_prep_save(value, connection)
        if value is None:
            return None
        return self.MARK + base64.b64encode(self._turn(value.encode())).decode("ascii")

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        if value is None:
            return None
        return self._turn(base64.b64decode(value.removeprefix(self.MARK))).decode()

    def _turn(self, data: bytes) -> bytes:
        return bytes(byte ^ self.SECRET[i % len(self.SECRET)] for i, byte in enumerate(data))


class TicketNumberField(models.Field):
    """`T-000012` in Python, 12 in the database."""

    def get_internal_type(self) -> str:
        return "IntegerField"

    def from_db_value(self, value: int | None, expression: Any, connection: Any) -> str | None:
        return self.to_python(value)

    def to_python(self, value: Any) -> str | None:
        return f"T-{value:06d}" if isinstance(value, int) else value

    def get_prep_value(self, value: Any) -> int | None:
        value = super().get_prep_value(value)
        return int(value.removeprefix("T-")) if isinstance(value, str) else value


class PictureField(models.FileField):
    """Opens its file when an instance is made, as ImageField with dimension fields does."""

    def contribute_to_class(self, cls: Any, name: str, **kwargs: Any) -> None:
        super().contribute_to_class(cls, name, **kwargs)
        if not cls._meta.abstract:
            post_init.connect(self.open_file, sender=cls)

    def open_file(self, instance: models.Model, **kwargs: Any) -> None:
        raise FileNotFoundError(f"{instance._meta.label}.{self.name} opened its file")


@dataclass(frozen=True)
class Seal:
    """A value that shows nothing of what it holds."""

    _text: str

    def __str__(self) -> str:
        return "<sealed>"

    __repr__ = __str__


class SealedField(models.CharField):
    """Cannot be carried: there is no way back from text."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Seal | None:
        return None if value is None else Seal(value)

    def to_python(self, value: Any) -> Seal | None:
        if value is None or isinstance(value, Seal):
            return value
        raise ValidationError("A seal cannot be made from text.")

    def get_prep_value(self, value: Any) -> str | None:
        seal = self.to_python(value)
        return None if seal is None else seal._text

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.value_from_object(obj))


class ExactEncoder(json.JSONEncoder):
    """Keeps decimals inside JSON documents."""

    def default(self, o: Any) -> Any:
        return {"__decimal__": str(o)} if isinstance(o, Decimal) else super().default(o)


class ExactDecoder(json.JSONDecoder):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(object_hook=self._decimals, **kwargs)

    @staticmethod
    def _decimals(value: dict[str, Any]) -> Any:
        return Decimal(value["__decimal__"]) if "__decimal__" in value else value
