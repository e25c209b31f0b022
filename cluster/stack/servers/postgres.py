"""A folder, ports and secrets in; PostgreSQL out, with two databases, each with a role of its own.

One is MLflow's, one has the records of studies.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.stack.folder import Folder, write_private
from cluster.stack.secrets import Secrets
from cluster.stack.servers.account import Account, other_account
from cluster.stack.servers.programs import plain_environment, postgres_programs
from cluster.stack.servers.server import Server
from gkm.errors import InputError

if TYPE_CHECKING:
    import psycopg

ADMIN = "postgres"
DATABASES = {"mlflow": "mlflow", "gkm": "studies"}
"""Role -> the database that it owns and no other role enters."""
HBA = "host all all 127.0.0.1/32 scram-sha-256\n"


def postgres(folder: Folder, port: int, secrets: Secrets) -> Server:
    """PostgreSQL on `port` of 127.0.0.1; as another account where this one is root. InputError where that cannot be."""
    account = other_account()
    programs = _programs(folder, account)
    data = folder.postgres / "data"
    return Server(
        name="postgres",
        command=[str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", ""],
        environment=plain_environment(),
        folder=folder.postgres,
        ready=_readiness(port, secrets),
        prepare=lambda: _initialise(folder, programs, account, secrets),
        account=account,
        stop=signal.SIGINT,  # ends the sessions of its clients, then itself
    )


def connect(port: int, secrets: Secrets, database: str = "postgres") -> "psycopg.Connection":
    """A connection of PostgreSQL's administrator; psycopg's OperationalError where there is none."""
    import psycopg

    return psycopg.connect(
        host="127.0.0.1", port=port, user=ADMIN, password=secrets.postgres_admin, dbname=database, connect_timeout=5,
        autocommit=True,
    )  # fmt: skip


def _programs(folder: Folder, account: Account | None) -> Path:
    """The folder of PostgreSQL's programs; a copy of it where the other account does not get to the one installed."""
    installed = postgres_programs()
    folder.postgres.mkdir(mode=0o700, exist_ok=True)
    if account is None:
        return installed / "bin"
    os.chown(folder.postgres, account.user, account.group)
    if not account.reaches(folder.root):
        raise InputError(
            f"{folder.root}: account {account.name}, which runs PostgreSQL instead of root, does not get there; "
            "choose another --folder"
        )
    if account.reaches(installed / "bin"):
        return installed / "bin"
    copy = folder.root / "postgres-programs"
    shutil.copytree(installed, copy, dirs_exist_ok=True, symlinks=True)
    copy.chmod(0o755)
    return copy / "bin"


def _initialise(folder: Folder, programs: Path, account: Account | None, secrets: Secrets) -> None:
    """An empty cluster of databases, if there is none, and who may knock: on 127.0.0.1 with a password, nobody else."""
    data, partial, password = (folder.postgres / name for name in ("data", "data.partial", "password"))
    if not data.exists():
        shutil.rmtree(partial, ignore_errors=True)
        write_private(password, secrets.postgres_admin)
        try:
            _own(password, account)
            made = subprocess.run(
                [programs / "initdb", "-D", partial, "-U", ADMIN, f"--pwfile={password}", "--auth=scram-sha-256",
                 "--encoding=UTF8", "--locale=C", "--no-sync"],
                cwd=folder.postgres, env=plain_environment(), capture_output=True, text=True, check=False,
                start_new_session=True, **(account.arguments() if account else {}),
            )  # fmt: skip
        finally:
            password.unlink()
        if made.returncode:
            raise InputError(f"{partial}: PostgreSQL could not make its databases: {made.stderr.strip()[-300:]}")
        partial.rename(data)
    hba = data / "pg_hba.conf"
    write_private(hba, HBA)
    _own(hba, account)


def _own(path: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(path, account.user, account.group)


def _readiness(port: int, secrets: Secrets) -> Callable[[], bool]:
    def ready() -> bool:
        import psycopg

        try:
            with connect(port, secrets) as connection:
                for role, database in DATABASES.items():
                    _make(connection, role, database, getattr(secrets, f"postgres_{role}"))
        except psycopg.OperationalError:
            return False
        return True

    return ready


def _make(connection: "psycopg.Connection", role: str, database: str, password: str) -> None:
    """A role and its database. The server gets what it keeps of a password: no log can ever have the password."""
    from psycopg import sql

    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    names = {"role": sql.Identifier(role), "database": sql.Identifier(database), "verifier": sql.Literal(verifier)}
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
        connection.execute(sql.SQL("CREATE ROLE {role} LOGIN PASSWORD {verifier}").format(**names))
    if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
        connection.execute(sql.SQL("CREATE DATABASE {database} OWNER {role}").format(**names))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {database} FROM PUBLIC").format(**names))
