from __future__ import annotations

import uuid

from django.db import models


class Product(models.Model):
    """Has a number for its key."""

    name: models.CharField[str, str] = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return f"/product/{self.pk}/"


class Document(models.Model):
    """Has a UUID for its key."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(primary_key=True, default=uuid.uuid4)
    title: models.CharField[str, str] = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.title


class Bargain(Product):
    """A proxy of a product."""

    class Meta:
        proxy = True


class Link(models.Model):
    """Leads somewhere else."""

    slug: models.SlugField[str, str] = models.SlugField()
    url: models.TextField[str, str] = models.TextField(blank=True)

    def get_absolute_url(self) -> str:
        return f"/link/{self.slug}/"
