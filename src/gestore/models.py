"""What does Gestore itself remember in a database? Which rows an import inserted, so that it can be
taken back, and so that the same archive imported again is known for what it is."""

from __future__ import annotations

from django.db import models


class Import(models.Model):
    """One import that inserted rows. `rows` counts them by model label."""

    archive = models.TextField()
    sha256 = models.CharField(max_length=64, db_index=True)
    objects_named = models.JSONField(default=list)
    imported_at = models.DateTimeField()
    imported_by = models.CharField(max_length=150)
    rows = models.JSONField(default=dict)
    undone_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "gestore_import"

    def __str__(self) -> str:
        return f"{self.pk}: {self.archive}"


class ImportedKeys(models.Model):
    """Some of the rows that an import inserted into one table: packed JSON, keys here and, of
    those that were changed, at the source."""

    imported = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="keys")
    model = models.CharField(max_length=200)
    packed = models.BinaryField()

    class Meta:
        db_table = "gestore_import_keys"

    def __str__(self) -> str:
        return f"{self.imported_id}: {self.model}"


class ImportedFiles(models.Model):
    """Some of the uploaded files that an import wrote: their names, packed JSON, in the storage of
    a field. They stay until the files are gone."""

    imported = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="files")
    field = models.CharField(max_length=300)
    packed = models.BinaryField()

    class Meta:
        db_table = "gestore_import_files"

    def __str__(self) -> str:
        return f"{self.imported_id}: {self.field}"


class Removal(models.Model):
    """One deletion: what was planned, and how far it is. With `--commit-every` its counts grow with
    each commit, and `ended_at` stays empty until it is proved."""

    archive = models.TextField()
    sha256 = models.CharField(max_length=64, db_index=True)
    objects_named = models.JSONField(default=list)
    command = models.TextField()
    began_at = models.DateTimeField()
    began_by = models.CharField(max_length=150)
    ended_at = models.DateTimeField(null=True)
    planned = models.JSONField(default=dict)
    removed = models.JSONField(default=dict)
    changed = models.JSONField(default=dict)

    class Meta:
        db_table = "gestore_removal"

    def __str__(self) -> str:
        return f"{self.pk}: {', '.join(self.objects_named)}"
