"""Errors of the reports and the site, grouped by who must act.

MatterlogError
├── DatabaseInUse            (schemas) the operator: the owner of the database does not answer
└── ReportError
    ├── InvalidFilter        the analyst: the choices are invalid
    │   └── TooManyRows      the analyst: the table or workbook would have too many rows
    ├── NoDatabase           the operator: there is no database file, or it cannot be read
    ├── ExtractFailed        the operator: the extract failed; no file was left
    ├── ExtractUnreadable    the analyst: the file is not a complete extract
    ├── RegisterFailed       the operator: the register cannot be used, so nothing is handed out
    ├── BadManifest          whoever has the file: the manifest is missing or invalid
    ├── BadSeries            the operator: the series' files do not fit together, or another run is writing them
    └── SiteError
        ├── SiteDatabaseUnusable  the operator: accounts cannot be read
        ├── LogUnavailable        nobody at first: the database is being reopened
        ├── SiteBusy              nobody: try again in a moment
        ├── AuditLogBroken        the operator: the audit log was tampered with
        ├── ProviderFailed        the operator: the identity provider gives no valid answer
        ├── NotSignedIn           the visitor: sign in first
        └── Refused               the visitor: the text says what to do
            ├── FormRefused       the form did not come from one of the site's own pages, or is too old
            ├── NotAllowed        the account's role or the token's scopes do not allow it
            ├── SignInRefused     name, password or code are wrong; the text does not say which
            ├── TooManyTries      too many attempts: wait
            ├── AccountRefused    there is no such account, or the change makes no sense
            ├── PasswordRefused   the password is not allowed
            ├── ExtractGone       the extract was dropped: make it again
            ├── CodeRefused       the code is wrong or was used
            └── TokenRefused      the API token cannot be made as asked
"""

from matterlog.schemas import MatterlogError


class ReportError(MatterlogError):
    """The report cannot be made."""


class InvalidFilter(ReportError):
    """The filter is invalid.

    Args:
        text: what is wrong. It names parameters as the command line does: ``--last``.
        parameters: the names in the text, without dashes; the first is the one at fault.
    """

    def __init__(self, text: str, *parameters: str) -> None:
        super().__init__(text)
        self.parameters = parameters

    def for_a_program(self) -> str:
        """Return the text with the API's names of the parameters."""
        text = str(self)
        for name in self.parameters:
            text = text.replace(f"--{name}", name)
        return text


class TooManyRows(InvalidFilter):
    """A table or a workbook would have too many rows."""


class NoDatabase(ReportError):
    """There is no database to read."""


class ExtractFailed(ReportError):
    """The extract failed."""


class RegisterFailed(ReportError):
    """The register of extracts cannot be read or written."""


class BadManifest(ReportError):
    """The manifest cannot be read."""


class BadSeries(ReportError):
    """The series of extracts cannot be continued."""


class SiteError(ReportError):
    """The admin site cannot do what was asked."""


class SiteDatabaseUnusable(SiteError):
    """The site's database cannot be used."""


class LogUnavailable(SiteError):
    """The log cannot be read at the moment. Try again shortly."""


class SiteBusy(SiteError):
    """The site is busy. Try again in a moment."""


class AuditLogBroken(SiteError):
    """The audit log is not what was recorded."""


class ProviderFailed(SiteError):
    """The identity provider did not give a valid answer."""


class NotSignedIn(SiteError):
    """Sign in first."""


class Refused(SiteError):
    """The request was refused."""


class FormRefused(Refused):
    """The form is too old, or was not sent from one of this site's pages. Open the page and send the form again."""


class NotAllowed(Refused):
    """This account is not allowed to do that."""


class SignInRefused(Refused):
    """The name or the password is wrong."""


class TooManyTries(Refused):
    """Too many attempts. Try again later."""

    # How many seconds to wait; None if unknown.
    retry_after_seconds: int | None = None


class AccountRefused(Refused):
    """There is no such account."""


class PasswordRefused(Refused):
    """This password is not allowed."""


class ExtractGone(Refused):
    """This extract has expired or was dropped, or it is not yours. Make it again."""


class CodeRefused(Refused):
    """The code is wrong or was already used."""


class TokenRefused(Refused):
    """The API token cannot be made as asked."""


class ExtractUnreadable(ReportError):
    """The file is not a complete extract."""
