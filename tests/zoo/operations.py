"""How does a migration follow the models instead of being written down?"""

from django.apps import apps
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState


class CreateEveryModel(Operation):
    """Makes the tables of whatever models the app has now, in this version of Django.

    Enough for an app whose tables are only ever made anew.
    """

    reversible = False

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        # Rendered models would be rendered anew with every model added: 6 s instead of 0.1.
        state.__dict__.pop("apps", None)
        for model in apps.get_app_config(app_label).get_models(include_swapped=True):
            state.add_model(ModelState.from_model(model))

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        alias = schema_editor.connection.alias
        for model in apps.get_app_config(app_label).get_models():
            if self.allow_migrate_model(alias, model):
                schema_editor.create_model(model)

    def describe(self) -> str:
        return "Creates every model of the app"
