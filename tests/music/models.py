"""Which tables has the music shop? As its file has them: Django reads and does not make them."""

from django.db import models


class Artist(models.Model):
    artist_id = models.AutoField(primary_key=True, db_column="ArtistId")
    name = models.CharField(max_length=120, null=True, db_column="Name")

    class Meta:
        managed = False
        db_table = "Artist"


class Album(models.Model):
    album_id = models.AutoField(primary_key=True, db_column="AlbumId")
    title = models.CharField(max_length=160, db_column="Title")
    artist = models.ForeignKey(Artist, models.DO_NOTHING, db_column="ArtistId")

    class Meta:
        managed = False
        db_table = "Album"


class Genre(models.Model):
    genre_id = models.AutoField(primary_key=True, db_column="GenreId")
    name = models.CharField(max_length=120, null=True, db_column="Name")

    class Meta:
        managed = False
        db_table = "Genre"


class MediaType(models.Model):
    media_type_id = models.AutoField(primary_key=True, db_column="MediaTypeId")
    name = models.CharField(max_length=120, null=True, db_column="Name")

    class Meta:
        managed = False
        db_table = "MediaType"


class Track(models.Model):
    track_id = models.AutoField(primary_key=True, db_column="TrackId")
    name = models.CharField(max_length=200, db_column="Name")
    album = models.ForeignKey(Album, models.DO_NOTHING, null=True, db_column="AlbumId")
    media_type = models.ForeignKey(MediaType, models.DO_NOTHING, db_column="MediaTypeId")
    genre = models.ForeignKey(Genre, models.DO_NOTHING, null=True, db_column="GenreId")
    composer = models.CharField(max_length=220, null=True, db_column="Composer")
    milliseconds = models.IntegerField(db_column="Milliseconds")
    bytes = models.IntegerField(null=True, db_column="Bytes")
    unit_price = models.DecimalField(max_digits=10, decimal_places=2, db_column="UnitPrice")

    class Meta:
        managed = False
        db_table = "Track"


class Playlist(models.Model):
    playlist_id = models.AutoField(primary_key=True, db_column="PlaylistId")
    name = models.CharField(max_length=120, null=True, db_column="Name")

    class Meta:
        managed = False
        db_table = "Playlist"


class PlaylistTrack(models.Model):
    """Its key is its two foreign keys."""

    pk = models.CompositePrimaryKey("playlist_id", "track_id")
    playlist = models.ForeignKey(Playlist, models.DO_NOTHING, db_column="PlaylistId")
    track = models.ForeignKey(Track, models.DO_NOTHING, db_column="TrackId")

    class Meta:
        managed = False
        db_table = "PlaylistTrack"


class Employee(models.Model):
    """A tree: each reports to another, and one to nobody."""

    employee_id = models.AutoField(primary_key=True, db_column="EmployeeId")
    last_name = models.CharField(max_length=20, db_column="LastName")
    first_name = models.CharField(max_length=20, db_column="FirstName")
    title = models.CharField(max_length=30, null=True, db_column="Title")
    reports_to = models.ForeignKey("self", models.DO_NOTHING, null=True, db_column="ReportsTo")
    birth_date = models.DateTimeField(null=True, db_column="BirthDate")
    hire_date = models.DateTimeField(null=True, db_column="HireDate")
    address = models.CharField(max_length=70, null=True, db_column="Address")
    city = models.CharField(max_length=40, null=True, db_column="City")
    state = models.CharField(max_length=40, null=True, db_column="State")
    country = models.CharField(max_length=40, null=True, db_column="Country")
    postal_code = models.CharField(max_length=10, null=True, db_column="PostalCode")
    phone = models.CharField(max_length=24, null=True, db_column="Phone")
    fax = models.CharField(max_length=24, null=True, db_column="Fax")
    email = models.CharField(max_length=60, null=True, db_column="Email")

    class Meta:
        managed = False
        db_table = "Employee"


class Customer(models.Model):
    customer_id = models.AutoField(primary_key=True, db_column="CustomerId")
    first_name = models.CharField(max_length=40, db_column="FirstName")
    last_name = models.CharField(max_length=20, db_column="LastName")
    company = models.CharField(max_length=80, null=True, db_column="Company")
    address = models.CharField(max_length=70, null=True, db_column="Address")
    city = models.CharField(max_length=40, null=True, db_column="City")
    state = models.CharField(max_length=40, null=True, db_column="State")
    country = models.CharField(max_length=40, null=True, db_column="Country")
    postal_code = models.CharField(max_length=10, null=True, db_column="PostalCode")
    phone = models.CharField(max_length=24, null=True, db_column="Phone")
    fax = models.CharField(max_length=24, null=True, db_column="Fax")
    email = models.CharField(max_length=60, db_column="Email")
    support_rep = models.ForeignKey(
        Employee, models.DO_NOTHING, null=True, db_column="SupportRepId"
    )

    class Meta:
        managed = False
        db_table = "Customer"


class Invoice(models.Model):
    invoice_id = models.AutoField(primary_key=True, db_column="InvoiceId")
    customer = models.ForeignKey(Customer, models.DO_NOTHING, db_column="CustomerId")
    invoice_date = models.DateTimeField(db_column="InvoiceDate")
    billing_address = models.CharField(max_length=70, null=True, db_column="BillingAddress")
    billing_city = models.CharField(max_length=40, null=True, db_column="BillingCity")
    billing_state = models.CharField(max_length=40, null=True, db_column="BillingState")
    billing_country = models.CharField(max_length=40, null=True, db_column="BillingCountry")
    billing_postal_code = models.CharField(max_length=10, null=True, db_column="BillingPostalCode")
    total = models.DecimalField(max_digits=10, decimal_places=2, db_column="Total")

    class Meta:
        managed = False
        db_table = "Invoice"


class InvoiceLine(models.Model):
    invoice_line_id = models.AutoField(primary_key=True, db_column="InvoiceLineId")
    invoice = models.ForeignKey(Invoice, models.DO_NOTHING, db_column="InvoiceId")
    track = models.ForeignKey(Track, models.DO_NOTHING, db_column="TrackId")
    unit_price = models.DecimalField(max_digits=10, decimal_places=2, db_column="UnitPrice")
    quantity = models.IntegerField(db_column="Quantity")

    class Meta:
        managed = False
        db_table = "InvoiceLine"
