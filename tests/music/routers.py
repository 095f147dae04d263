"""Which tables lie in the music shop's database? Its own, and none of Django's."""

from typing import Any

ALIAS = "chinook"


class MusicRouter:
    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return app_label == "music" if db == ALIAS else None
