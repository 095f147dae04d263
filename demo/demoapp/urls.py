"""The library's pages."""

from django.urls import path

from demoapp import views

urlpatterns = [
    path("", views.home, name="home"),
    path("books/", views.BookList.as_view(), name="books"),
    path("books/<int:pk>/", views.BookDetail.as_view(), name="book"),
    path("authors/<int:pk>/", views.AuthorDetail.as_view(), name="author"),
]
