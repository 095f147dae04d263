"""Which trees keep columns that follow from other rows?"""

from django.db import models

from .menagerie import Housed


class PathNode(Housed):
    """A materialised path, as treebeard keeps it."""

    path = models.CharField(max_length=100, unique=True)
    depth = models.PositiveIntegerField()
    numchild = models.PositiveIntegerField(default=0)
    name = models.CharField(max_length=50)


class NestedSetNode(Housed):
    """Nested sets, as mptt keeps them."""

    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")
    lft = models.PositiveIntegerField(editable=False)
    rght = models.PositiveIntegerField(editable=False)
    tree_id = models.PositiveIntegerField(editable=False, db_index=True)
    level = models.PositiveIntegerField(editable=False)
    name = models.CharField(max_length=50)


class Ancestry(models.Model):
    """A closure table over the nested sets: every pair of a node and one above it."""

    ancestor = models.ForeignKey(NestedSetNode, models.CASCADE, related_name="+")
    descendant = models.ForeignKey(NestedSetNode, models.CASCADE, related_name="+")
    distance = models.IntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["ancestor", "descendant"], name="zoo_ancestry_unique_pair"
            )
        ]
