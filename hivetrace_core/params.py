"""The types of the keyword arguments of provider constructors, for editors and type checkers."""

from __future__ import annotations

from typing import TypedDict


class ModelParams(TypedDict, total=False):
    """What every provider takes besides `model`; see `ModelOptions` for units and ranges.

    A provider over HTTP starts from `hivetrace_core.http.HttpParams` instead, adds its own, and unpacks them:

        class AcmeParams(HttpParams, total=False):
            api_key: SecretStr | str | None
            temperature: float | None

        class AcmeModel(ProviderModel[AcmeOptions]):
            def __init__(self, model: str | None = None, **options: Unpack[AcmeParams]) -> None:
                super().__init__(model, **options)
    """

    batch_size: int
    max_concurrency: int | None
    rpm: float | None
    tpm: float | None
    timeout: float | None
    max_attempts: int
    deadline: float | None
