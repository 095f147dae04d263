"""Which kinds of column are there?"""

from typing import Any, NoReturn

from django.db import models
from django.db.models import F
from django.db.models.functions import Lower, Now

from tests.zoo.fields import (
    EncryptedTextField,
    ExactDecoder,
    ExactEncoder,
    MoneyField,
    PictureField,
    SealedField,
)

from .menagerie import Housed


class Moments(Housed):
    moment = models.DateTimeField(null=True)
    day = models.DateField(null=True)
    hour = models.TimeField(null=True)
    lasting = models.DurationField(null=True)


class SelfStamped(Housed):
    """`save()` and `bulk_create()` would put today's values here."""

    name = models.CharField(max_length=50)
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)
    created_day = models.DateField(auto_now_add=True)
    updated_hour = models.TimeField(auto_now=True)


class Decimals(Housed):
    price = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    fine = models.DecimalField(max_digits=15, decimal_places=12, null=True)
    vast = models.DecimalField(max_digits=60, decimal_places=30, null=True)


class Floats(Housed):
    value = models.FloatField(null=True)


class Integers(Housed):
    small = models.SmallIntegerField(null=True)
    normal = models.IntegerField(null=True)
    big = models.BigIntegerField(null=True)
    positive_small = models.PositiveSmallIntegerField(null=True)
    positive = models.PositiveIntegerField(null=True)
    positive_big = models.PositiveBigIntegerField(null=True)
    yes = models.BooleanField(default=False)
    maybe = models.BooleanField(null=True)


class Texts(Housed):
    short = models.CharField(max_length=255, null=True)
    long = models.TextField(null=True)
    blank = models.CharField(max_length=20, blank=True, default="")
    email = models.EmailField(null=True)
    link = models.URLField(null=True)
    slug = models.SlugField(null=True)


class Binaries(Housed):
    data = models.BinaryField(null=True)


class Identifiers(Housed):
    token = models.UUIDField(null=True)
    address = models.GenericIPAddressField(null=True)
    mapped = models.GenericIPAddressField(null=True, unpack_ipv4=True)


class Documents(Housed):
    """JSON, where nothing (SQL NULL) and `null` both read as None."""

    document = models.JSONField(null=True)
    required = models.JSONField(default=dict)
    exact = models.JSONField(null=True, encoder=ExactEncoder, decoder=ExactDecoder)


class Files(Housed):
    attachment = models.FileField(upload_to="zoo", null=True)
    path = models.FilePathField(path="", null=True)


class Pictures(Housed):
    """No instance of it can be made without its file."""

    picture = PictureField(upload_to="zoo")


class Unserialized(Housed):
    """Columns that Django's serializers and forms leave out."""

    unserialized = models.CharField(max_length=50, serialize=False)
    uneditable = models.CharField(max_length=50, editable=False)
    neither = models.IntegerField(serialize=False, editable=False, null=True)


class DatabaseDefaults(Housed):
    code = models.CharField(max_length=20, db_default="plain")
    count = models.IntegerField(db_default=7)
    made = models.DateTimeField(db_default=Now())


class Generated(Housed):
    """The database computes two columns; nobody may write them."""

    name = models.CharField(max_length=50)
    width = models.IntegerField()
    height = models.IntegerField(null=True)
    area = models.GeneratedField(
        expression=F("width") * F("height"),
        output_field=models.IntegerField(null=True),
        db_persist=True,
    )
    lower_name = models.GeneratedField(
        expression=Lower("name"), output_field=models.CharField(max_length=50), db_persist=True
    )


class Priced(Housed):
    price = MoneyField(max_length=40, null=True)


class Secrets(Housed):
    note = EncryptedTextField(null=True)


class ReservedColumns(Housed):
    """Columns named by words of SQL, by odd characters, and unlike their fields."""

    order = models.IntegerField()
    select = models.CharField(max_length=20)
    group_name = models.CharField(max_length=20, db_column="group")
    from_whom = models.CharField(max_length=20, db_column="From whom, and-why?")
    swapped_a = models.IntegerField(db_column="swapped_b")
    swapped_b = models.IntegerField(db_column="swapped_a")
    link = models.ForeignKey("self", models.SET_NULL, null=True, db_column="where")


class OddlyNamedTable(Housed):
    name = models.CharField(max_length=20)

    class Meta:
        db_table = "Zoo odd-table, with. (everything) & Ünïcode"


class Untouchable(Housed):
    """No instance of it can ever be made: it is read and written as rows, or not at all."""

    name = models.CharField(max_length=50)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise AssertionError("An instance of zoo.Untouchable was made.")

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise AssertionError("An instance of zoo.Untouchable was read.")


class Sealed(models.Model):
    """A root of its own, with a column that cannot be carried. In no menagerie."""

    name = models.CharField(max_length=50)
    seal = SealedField(max_length=50, null=True)


class SealedLabel(models.Model):
    """Can be carried itself, but brings a row along that cannot."""

    sealed = models.ForeignKey(Sealed, models.CASCADE)
    text = models.CharField(max_length=50)
