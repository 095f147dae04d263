"""Which addresses does the test project answer? Only the admin's, whose log the tests archive."""

from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
