"""The views of one client, as fields of a filter, so that every analysis and extract can be asked for them."""

from typing import Any, Final

from matterlog.report.engagement.analyses.clients import PUBLIC_MAIL, SQL
from matterlog.report.log.reader import LogConnection
from matterlog.schemas import UserType

_PEOPLE: Final = SQL["people"].format(parties=SQL["parties"].format(chosen=SQL["candidates"]))


def views_of_client(connection: LogConnection, kind: str, client_id: str) -> dict[str, tuple[str, ...]]:
    """Return the fields of a filter that select a client's views; empty for an unknown client.

    They are the views that name its company, if that selects all of the client's views. Otherwise they are all views
    of its people as guests, which includes those that the analysis counts for another client of the same person.

    Args:
        connection: the connection of a reader.
        kind: ``company`` or ``domain``, as ``client_kind`` in the analysis of clients.
        client_id: as ``client_ID`` there.
    """
    values: dict[str, Any] = {"kind": kind, "client": client_id}
    values |= {"mail_domains": list(PUBLIC_MAIL), "mail_providers": list(PUBLIC_MAIL.values())}
    people, names_it = connection.execute(_PEOPLE, values).fetchall()[0]
    if not people:
        return {}
    chosen = {"companies": (client_id,)} if names_it else {"users": tuple(sorted(people))}
    return {"user_types": (UserType.GUEST,), **chosen}
