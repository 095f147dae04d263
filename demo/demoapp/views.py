"""Pages to look at the library with."""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.generic import DetailView, ListView

from demoapp.models import Author, Book, BookInstance, Note, Review


def home(request: HttpRequest) -> HttpResponse:
    """The counts, and the books that came last."""
    counts = {
        "books": Book.objects.count(),
        "copies": BookInstance.objects.count(),
        "copies on the shelf": BookInstance.objects.filter(status="a").count(),
        "authors": Author.objects.count(),
        "readers": get_user_model().objects.count(),
        "reviews": Review.objects.count(),
    }
    latest = Book.objects.select_related("author").order_by("-added_at")[:10]
    return render(request, "demoapp/home.html", {"counts": counts, "latest": latest})


class BookList(ListView):
    """All books, or those whose title, author or ISBN match `?q=`."""

    model = Book
    paginate_by = 50
    template_name = "demoapp/books.html"

    def get_queryset(self) -> QuerySet[Book]:
        books = Book.objects.select_related("author", "language")
        words = self.request.GET.get("q", "").replace("\0", "").strip()
        if not words:
            return books
        return books.filter(
            Q(title__icontains=words) | Q(author__last_name__icontains=words) | Q(isbn=words)
        )


class BookDetail(DetailView):
    """One book with its copies, its reviews and its notes."""

    queryset = Book.objects.select_related("author", "language")
    template_name = "demoapp/book.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        book = self.object
        return super().get_context_data(
            copies=book.bookinstance_set.select_related("borrower"),
            reviews=book.review_set.select_related("user", "parent__user"),
            notes=book.notes.select_related("written_by"),
            **kwargs,
        )


class AuthorDetail(DetailView):
    """One author with the books they wrote."""

    model = Author
    template_name = "demoapp/author.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        kind = ContentType.objects.get_for_model(Author)
        return super().get_context_data(
            books=self.object.book_set.select_related("language"),
            notes=Note.objects.filter(content_type=kind, object_id=str(self.object.pk)),
            **kwargs,
        )
