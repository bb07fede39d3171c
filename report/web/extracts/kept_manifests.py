"""The manifests of the extracts that accounts downloaded, in the site's database."""

from typing import Final
from uuid import UUID

from matterlog.report.handover.manifest import Manifest, bytes_of
from matterlog.report.web.identity.accounts import Account
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "manifests.sql")


class KeptManifests:
    """The stored manifests, which stay after the files are gone."""

    def __init__(self, database: SiteDatabase) -> None:
        self._database = database

    def keep(self, account: Account, manifest: Manifest) -> None:
        """Store the manifest of an account's extract."""
        self._database.run(SQL["keep"], manifest=bytes_of(manifest).decode(), **_named(account, manifest.extract_id))

    def find(self, account: Account, extract_id: UUID) -> bytes | None:
        """Return the manifest of an account's extract; None if there is none."""
        found = self._database.rows(SQL["find"], **_named(account, extract_id))
        return str(found[0]["manifest"]).encode() if found else None


def _named(account: Account, extract_id: UUID) -> dict[str, object]:
    return {"extract_id": str(extract_id), "account_id": account.account_id}
