"""Help, wrong use and exit codes: what every command has in common."""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pytest
import typer.main
from typer.core import TyperGroup
from typer.testing import CliRunner

from matterlog.app.commands import app
from matterlog.app.settings import Settings
from testbed.command import MATTERLOG, done, environment, run, start

COMMANDS: Final = {
    *("consume", "export", "status", "settings", "broker", "demo", "emit views", "emit deletions", "topics create"),
    *("engagement", "plot"),
    *("serve", "accounts add", "accounts list", "accounts disable", "accounts enable", "accounts reset"),
    *("accounts bind", "accounts unbind"),
    *("accounts record verify", "accounts record export"),
    *(
        "topics check",
        *("lake init", "lake check", "lake upgrade"),
        "purges list",
        "purges show",
        "purges rehearse",
        "verify-extract",
        "diff",
        "erase",
        "verify-purge",
        "series show",
    ),
    *("backup", "restore", "rebuild", "reread"),
    *("dead-letters list", "dead-letters show", "dead-letters retry", "dead-letters discard"),
}
UNREACHABLE: Final = "127.0.0.1:1"


def commands(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """Every command without commands below it, by its words."""
    if not isinstance(command, TyperGroup):
        yield path
        return
    context = typer.Context(command)
    for name in command.list_commands(context):
        yield from commands(command.get_command(context, name), *path, name)


EVERY_COMMAND: Final = [" ".join(path) for path in commands(typer.main.get_command(app))]


def test_the_version_and_the_help_have_the_usual_names() -> None:
    """People and scripts ask for both before anything else."""
    assert done("--version").text == f"matterlog {version('matterlog')}\n"
    assert done("export", "-h").text == done("export", "--help").text


@pytest.mark.parametrize(
    ("typed", "meant"), [("exprot", "'export'"), ("dead-leters", "'dead-letters'"), ("topics crate", "'create'")]
)
def test_a_mistyped_command_is_told_what_was_meant(typed: str, meant: str) -> None:
    """Also one that nobody has loaded yet, and one of a group."""
    ended = run(*typed.split())
    assert (ended.code, f"Did you mean {meant}" in ended.err) == (2, True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell: str) -> None:
    """By what --install-completion sets up, which asks the command itself."""
    line = {"COMP_WORDS": "matterlog export --ma", "COMP_CWORD": "2", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    asked = line | {"_MATTERLOG_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line["COMP_WORDS"]}
    told = subprocess.run([MATTERLOG], env=environment(asked), capture_output=True, text=True, check=True).stdout
    assert "--matter-type" in told


def test_these_are_the_commands() -> None:
    """A new one has to be put here, and so is not forgotten elsewhere."""
    assert set(EVERY_COMMAND) == COMMANDS


@pytest.mark.parametrize("words", ["", *EVERY_COMMAND])
def test_every_command_helps_and_gives_an_example(words: str) -> None:
    """The example calls the command by its name, on a line of its own."""
    helped = CliRunner().invoke(app, [*words.split(), "--help"])
    assert helped.exit_code == 0
    example = helped.output.partition("Example:\n")[2]
    assert f"matterlog {words}".strip() in example if words else "Commands" in helped.output


def test_a_command_imports_no_other_command() -> None:
    """Nor what they alone need: that would be half a second before each."""
    script = "import sys; from matterlog.app.commands import app; app(['status', '--help'], standalone_mode=False); "
    printed = subprocess.check_output([sys.executable, "-c", f"{script}print(*sys.modules)"], text=True).split()
    ours = {name for name in printed if name.startswith("matterlog.app.commands.")}
    assert ours == {"matterlog.app.commands.status", "matterlog.app.commands.options"}
    assert not {"argon2", "altair", "fastapi", "xlsxwriter"} & set(printed)


@pytest.mark.parametrize("words", ["", "emit", "topics", "dead-letters", "accounts", "accounts record"])
def test_a_group_without_a_command_says_what_there_is(words: str) -> None:
    """And is wrong use."""
    ended = CliRunner().invoke(app, words.split())
    assert ended.exit_code == 2
    assert "Commands:" in ended.output


def test_the_console_script_helps_on_standard_output() -> None:
    """Sizes and folder of the demo among it, as the defaults that they are."""
    ended = done("demo", "--help")
    text = " ".join(ended.text.split())
    assert all(
        word in text
        for word in ("--folder", "[default: demo]", "--views", "[default: 20000;", "--matters", "--users", "--seed")
    )
    assert ended.err == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["export", "--nonsense"], "No such option"),
        (["export"], "give either --output FILE, or --series NAME --directory DIR"),
        (["export", "-o", "x.csv", "--series", "a", "--directory", "."], "give either --output FILE"),
        (["export", "--series", "a"], "--series and --directory must be given together"),
        (["export", "--series", "a", "--directory", ".", "--last", "30d"], "--series cannot be combined with --last"),
        (["export", "-o", "-", "--all", "--last", "30d"], "--all cannot be combined with --last, --from or --to"),
        (["export", "-o", "-", "--last", "30d", "--to", "2026-11-22"], "--last cannot be combined with --from or --to"),
        (["export", "-o", "-", "--from", "yesterday"], "'yesterday' is not a date"),
        (["export", "-o", "-", "--from", "2026-11-23", "--to", "2026-11-22"], "--from 2026-11-23 is after"),
        (["export", "-o", "x.xls", "--format", "xls"], "xls"),
        (["export", "-o", "x.json", "--excel"], "--excel is for CSV only"),
        (["consume"], "no broker is set"),
        (
            ["consume", "--bootstrap-servers", UNREACHABLE, "--max-dead-letters", "7"],
            "setting max_dead_letters (share of",
        ),
        (["consume", "--bootstrap-servers", UNREACHABLE, "--topic-prefix", "a/b"], "setting topic_prefix (prefix of"),
        (["settings", "--config", "missing.toml"], "missing.toml cannot be read"),
        (["dead-letters", "retry", "--all", "t:0:1"], "give the places of dead letters, or --all"),
        (["dead-letters", "retry", "t:0:x"], "'t:0:x' is not an address: write topic:partition:offset"),
    ],
)
def test_wrong_use_ends_with_2_and_a_word_on_standard_error(arguments: list[str], told: str, tmp_path: Path) -> None:
    """Nothing is done, nothing is left, nothing goes to standard output, and nobody sees a trace."""
    ended = run(*arguments, cwd=tmp_path)
    assert (ended.code, ended.out) == (2, b"")
    assert told in ended.err
    assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["status"], "there is no database at"),
        (["export", "-o", "x.csv"], "there is no database at"),
        (["dead-letters", "list"], "there is no database at"),
        (
            ["emit", "views", "missing.csv", "--bootstrap-servers", UNREACHABLE],
            "missing.csv cannot be read: No such file",
        ),
        (["emit", "views", ".", "--bootstrap-servers", UNREACHABLE], ". cannot be read: Is a directory"),
        (["emit", "views", "-", "--bootstrap-servers", UNREACHABLE], "line 1: column user_ID, user_name, user_email"),
    ],
)
def test_what_cannot_be_done_ends_with_1_and_the_reason(arguments: list[str], told: str, tmp_path: Path) -> None:
    """As the last word, without a trace; and nothing is made."""
    ended = run(*arguments, cwd=tmp_path)
    assert (ended.code, ended.out) == (1, b"")
    last = ended.err.splitlines()[-1]
    assert last.startswith("matterlog: ")
    assert told in last
    assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("package", "extra", "command"),
    [
        ("typer", "service", ["status"]),
        ("duckdb", "service", ["status"]),
        ("psycopg", "lake", ["lake", "check", "--lake-catalogue", "postgresql://h/l", "--lake-data", "lake"]),
        ("fastapi", "site", ["serve"]),
    ],
)
def test_the_first_missing_package_is_told_with_what_to_install(
    package: str, extra: str, command: list[str], tmp_path: Path
) -> None:
    """The command needs an extra that a web app does not install, or an operator without a lake or a site."""
    script = f"import sys; sys.modules['{package}'] = None; from matterlog.app.main import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", script, *command],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert f"matterlog: this command needs: pip install 'matterlog[{extra}]'" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("package", "light"),
    [
        ("matterlog.schemas", {"confluent_kafka", "duckdb", "pyarrow", "typer", "rich"}),
        ("matterlog.producers", {"duckdb", "pyarrow", "typer", "rich", "httpx"}),
        ("matterlog.report.extracts.extracts", {"confluent_kafka", "pyarrow", "typer", "rich"}),
    ],
)
def test_a_web_app_that_emits_loads_no_database(package: str, light: set[str]) -> None:
    """`pip install matterlog` alone is enough for it."""
    script = f"import sys, {package}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True
    )
    assert not light & {name.partition(".")[0] for name in loaded.stdout.split()}


def test_no_command_asks_for_the_packages_of_a_lake_or_of_the_site_before_it_uses_them() -> None:
    """The overview of all commands loads each."""
    script = "import sys; from matterlog.app.main import main; sys.argv = ['matterlog', '--help']; main()"
    for package in ("psycopg", "fastapi", "uvicorn"):
        script = f"import sys; sys.modules['{package}'] = None; {script}"
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "verify-purge" in ended.stdout


def test_settings_tell_each_source_and_mask_what_is_secret(tmp_path: Path) -> None:
    """As JSON, for a check before a deployment."""
    (tmp_path / "matterlog.toml").write_text('batch_records = 5\n[kafka]\n"sasl.password" = "hunter2"\n')
    variables = {"SCHEMA_REGISTRY_URL": "http://u:hunter2@registry", "MATTERLOG_KAFKA_SSL_KEY_PASSWORD": "hunter2"}
    ended = done("settings", "--json", "--topic-prefix", "eu-", cwd=tmp_path, settings=variables)
    assert "hunter2" not in ended.text + ended.err
    found = json.loads(ended.text)
    told = {name: (each["value"], each["source"]) for name, each in found.items()}
    assert set(Settings.model_fields) - {"kafka"} < set(told)
    assert told["bootstrap_servers"] == ("", "default")
    assert told["topic_prefix"] == ("eu-", "flag")
    assert told["schema_registry_url"] == ("http://********@registry", "environment")
    assert told["batch_records"] == ("5", "matterlog.toml")
    assert told["kafka.sasl.password"] == ("********", "matterlog.toml")
    assert told["kafka.ssl.key.password"] == ("********", "environment")


def test_settings_show_any_value_as_it_is(tmp_path: Path) -> None:
    """Square brackets are no markup."""
    secret = {"MATTERLOG_KAFKA_SASL_PASSWORD": "hunter2"}
    ended = done("settings", "--database", "[red]/x[/blue]", cwd=tmp_path, settings=secret)
    assert "[red]/x[/blue]" in ended.text
    assert "hunter2" not in ended.text


def test_the_broker_stops_by_ctrl_c_too() -> None:
    """Its first line is there at once, though nobody's terminal reads it."""
    process = start("broker", "--topic-prefix", "x-")
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"bootstrap.servers=127.0.0.1:")
    process.send_signal(2)
    process.communicate(timeout=30)
    assert process.returncode == 0
