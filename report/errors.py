"""What can go wrong between the activity table and an analyst, split by who must act.

MatterlogError
├── DatabaseInUse            (schemas) the operator: its owner does not answer
└── ReportError
    ├── InvalidFilter        the analyst: what was asked for makes no sense
    ├── NoDatabase           the operator: nothing was ever consumed here, or the file cannot be read
    ├── ExtractFailed        the operator: the extract broke off; no file was left
    ├── ExtractUnreadable    the analyst: the file is no extract, or not a whole one
    ├── RegisterFailed       the operator: what is handed out cannot be recorded, so nothing is
    ├── BadManifest          whose file it is: there is no manifest, or it is none
    ├── BadSeries            the operator: the series' files do not fit together, or another run is at work on them
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
    """The filter makes no sense.

    Args:
        text: what makes no sense; it names what was asked as the command line does, ``--last``.
        parameters: the names in it, without the dashes; the first is the one at fault.
    """

    def __init__(self, text: str, *parameters: str) -> None:
        super().__init__(text)
        self.parameters = parameters

    def for_a_program(self) -> str:
        """Return the text with the names of parameters, as the API has them."""
        text = str(self)
        for name in self.parameters:
            text = text.replace(f"--{name}", name)
        return text


class NoDatabase(ReportError):
    """There is no database to read."""


class ExtractFailed(ReportError):
    """The extract broke off."""


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
    """The form was not sent from one of this site's pages, or is too old. Open the page again and send it once more."""


class NotAllowed(Refused):
    """This account may not do that."""


class SignInRefused(Refused):
    """The name or the password is wrong."""


class TooManyTries(Refused):
    """Too many attempts. Wait 15 minutes."""

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
    """The file is no extract, or not a whole one."""
