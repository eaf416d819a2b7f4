"""Every error that a person can meet, with its cause and its repair.

What belongs here: codes and sentences about errors, complaints and reasons. What does not: when one
arises, and the error's own words, which say on what it happened. `docs/reference/errors.md` is made
from this; a test walks the code and refuses what is not here. Nothing heavy is imported, so that an
error can be looked up wherever it is caught.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PAGE = "docs/reference/errors.md"


@dataclass(frozen=True)
class Entry:
    """One kind of error.

    Attributes:
        code: where it is found on the page.
        cause: how it comes about.
        repair: what a person does; a command or a setting wherever there is one.
    """

    code: str
    cause: str
    repair: str


# By module within the package, and class.
ERRORS: Mapping[str, Entry] = {
    "waha.errors.WahaError": Entry(
        "waha",
        "Something between this program and WAHA; each kind below is one of these.",
        "See the kinds below.",
    ),
    "waha.errors.WahaConfigurationError": Entry(
        "waha.configuration",
        "WAHA's address, session, key or store is not what the channel says. Trying again does "
        "not help, so nothing does.",
        "Do what the sentence says, in WAHA or with `ventros channel add`, then repeat the "
        "command; `ventros doctor CHANNEL` says whether it is mended.",
    ),
    "waha.errors.WahaNotReadyError": Entry(
        "waha.session_not_working",
        "The session is stopped, starting, or waits for its code to be scanned.",
        "Start or pair it in WAHA's dashboard. A planned import waits for it by itself.",
    ),
    "waha.errors.WahaTransientError": Entry(
        "waha.transient",
        "WAHA, its network or a proxy before it failed, and went on failing for "
        "`VENTROS_REQUEST_ATTEMPTS` tries.",
        "Look whether WAHA runs, then repeat the command: what was read before is kept and not "
        "read again.",
    ),
    "waha.errors.WahaProtocolError": Entry(
        "waha.protocol",
        "The answer is none that WAHA gives: another program answers at that address, or it is "
        "larger than `VENTROS_BODY_LIMIT_MB`.",
        "Correct the channel's address with `ventros channel add`, or set a smaller "
        "`VENTROS_PAGE_SIZE`.",
    ),
    "waha.errors.WahaGarbledError": Entry(
        "waha.garbled",
        "The answer is no JSON, or not the JSON that was asked for, time and again: a page of "
        "maintenance, a login page, a connection that is cut.",
        "Look at what answers at WAHA's address, then repeat the command.",
    ),
    "waha.errors.WahaUnsupportedError": Entry(
        "waha.unsupported",
        "This engine, or this release of WAHA, cannot do what is needed.",
        "Update WAHA, or set WHATSAPP_DEFAULT_ENGINE to an engine that is read.",
    ),
    "waha.courtesy.NoTurnError": Entry(
        "waha.no_turn",
        "Other processes kept the server busy: all of them together may make "
        "`VENTROS_WAHA_CONCURRENCY` requests at once.",
        "Wait for the other imports, or raise `VENTROS_WAHA_CONCURRENCY` and "
        "`VENTROS_WAHA_RATE` if the server bears it.",
    ),
    "waha.courtesy.RestingError": Entry(
        "waha.resting",
        "Most of the last requests to this session failed, so it is left alone for a while.",
        "See whether WAHA and the session are well (`ventros doctor CHANNEL`); reading goes on "
        "by itself.",
    ),
    "waha.guard.UnsafeUrlError": Entry(
        "waha.unsafe_url",
        "A message's file points to an address that is not fetched: inside the network, or not "
        "on the web.",
        "If it is WAHA's own, put its scheme, host and port into the channel's address with "
        "`ventros channel add`; otherwise nothing.",
    ),
    "waha.guard.FetchError": Entry(
        "waha.fetch",
        "A file could not be fetched.",
        "Nothing: it is tried in five runs of `message_media`.",
    ),
    "waha.guard.TooLargeError": Entry(
        "waha.too_large",
        "A file is larger than the CRM takes of its kind.",
        "Nothing: the message is in the CRM, its file stays on the phone.",
    ),
    "waha.events.EventError": Entry(
        "waha.event",
        "Something posted to the webhook that is no event of WAHA's.",
        "Point WAHA's webhook, and nothing else, at `ventros serve`.",
    ),
    "crm.database.DatabaseError": Entry(
        "database",
        "The database cannot be reached, does not let us in, or its address cannot be read.",
        "Do what the sentence says; `VENTROS_DATABASE_URL` holds the address, and `psql "
        '"$(ventros db url)"` tries it.',
    ),
    "crm.database.DatabaseTimeoutError": Entry(
        "database.timeout",
        "A statement took longer than `VENTROS_STATEMENT_TIMEOUT`, or waited for somebody's lock "
        "for longer than `VENTROS_LOCK_TIMEOUT`. Nothing of the window was kept.",
        "Run the same days again; if it comes back, see in `pg_stat_activity` who holds the lock "
        "or what the server does, or raise the limit.",
    ),
    "crm.migrate.MigrationError": Entry(
        "database.migration",
        "The database lacks this version's tables, has those of a newer one, or a statement of a "
        "migration failed. Nothing of it remains.",
        "`ventros db status` says where it stands; as the owner of the CRM's tables run "
        "`ventros db migrate`, or install the newer version.",
    ),
    "crm.channels.ChannelError": Entry(
        "channel",
        "A channel is not there, cannot be added as it was asked for, or its key is not set.",
        "`ventros channel list` names the channels; `ventros channel add` renews one; keys stand "
        "in the environment or `.env`.",
    ),
    "crm.preconditions.LifecycleError": Entry(
        "import.refused",
        "The channel's import is turned off, the channel is not connected, a limit makes no "
        "sense, or the import that was watched failed.",
        "`ventros channel enable CHANNEL` turns it on; the sentence says what else.",
    ),
    "crm.preconditions.AlreadyImportingError": Entry(
        "import.running",
        "Another import of the channel runs or is planned.",
        "`ventros status CHANNEL --watch` shows it, `ventros cancel CHANNEL` ends it.",
    ),
    "crm.turns.ChannelBusyError": Entry(
        "import.busy",
        "Another run reads or loads the channel at this moment.",
        "Nothing but to wait: run the same days again later.",
    ),
    "crm.load.ConcurrentWriteError": Entry(
        "import.concurrent",
        "The CRM stored and deleted the same messages while they were loaded, three times in a "
        "row. Nothing of the window was kept.",
        "Run the same days again.",
    ),
    "crm.merging.MergeError": Entry(
        "people.merge",
        "There is no such contact or merge, or a later merge stands on it.",
        "`ventros people merges CHANNEL` and `ventros doctor CHANNEL` name them.",
    ),
    "crm.quarantine.QuarantineError": Entry(
        "quarantine.unknown",
        "No row in quarantine has that id.",
        "`ventros quarantine list CHANNEL --rows` names them.",
    ),
    "crm.sealing.SealError": Entry(
        "quarantine.sealed",
        "A payload in quarantine was encrypted with a key that `VENTROS_QUARANTINE_KEY` does not "
        "hold (any more).",
        "Append that key to `VENTROS_QUARANTINE_KEY`, after a comma. If it is lost, so is the "
        "payload; the archive has the row, and loading its day again seals it anew.",
    ),
    "crm.undo.UndoError": Entry(
        "undo",
        "The run is none, still runs, is undone already, is not on record any more, or later runs "
        "or people stand on what it did. Nothing was changed.",
        "Do what the sentence says; `ventros undo RUN --dry-run` names all that stands in the "
        "way. What a run wrote over is kept for `VENTROS_UNDO_KEEP_DAYS`.",
    ),
    "crm.erasure.ErasureError": Entry(
        "forget",
        "What was given is no telephone number, is the channel's own account, or it is not clear "
        "in which project; or nobody confirmed it. Nobody was erased.",
        "Do what the sentence says, then `ventros forget PHONE` again.",
    ),
    "crm.removing.RemovalError": Entry(
        "removal",
        "Undoing and erasing delete messages and contacts: the role that imports may not, or rows "
        "of another table of the CRM refer to them.",
        "Run this one command as the owner of the CRM's tables (`VENTROS_DATABASE_URL`), or remove "
        "the rows that are named in the CRM, then repeat it.",
    ),
    "memory.MemoryLimitError": Entry(
        "memory",
        "A day, or an answer of WAHA, is so large that the run would take more memory than it may. "
        "The days before are kept; this one and those after are not read, as coverage says.",
        "Raise `VENTROS_MEMORY_LIMIT_MB`. On the calendar's first day, which also holds all that "
        "is older, set an earlier `VENTROS_HISTORY_START` instead.",
    ),
    "stores.ArchiveError": Entry(
        "archive",
        "A day was never read into this archive, its file is damaged, the disk is full or not "
        "ours, or the channel has as much as `VENTROS_ARCHIVE_LIMIT_MB` grants.",
        "Do what the sentence says: free space, raise the limit, or read the days again with "
        "`ventros import CHANNEL --since DAY --until DAY`. The archive lies where "
        "`VENTROS_ARCHIVE_URI` says, or under `VENTROS_HOME`.",
    ),
    "dayfiles.NewerArchiveError": Entry(
        "archive.newer",
        "A file of the archive was written by a newer release than the one that reads it.",
        "Install that release or a later one where the pipeline runs; nothing was changed.",
    ),
    "stores.ArchiveUnreachableError": Entry(
        "archive.unreachable",
        "The object store of the archive did not answer, or only with errors of its own, for "
        "about half a minute.",
        "See whether it runs and can be reached from here (`ventros doctor` tries). A planned "
        "import tries again by itself: what was read before is kept, and the day in hand is read "
        "again.",
    ),
    "stores.ArchiveRefusedError": Entry(
        "archive.refused",
        "The object store does not let us in, has no such bucket, or the environment lacks what "
        "it needs.",
        "Set the store's variables (`AWS_…`, `GOOGLE_…` or `AZURE_…`) where the pipeline runs, "
        "with the right to read, write, list and delete, or correct `VENTROS_ARCHIVE_URI`; "
        "`ventros doctor` tries it.",
    ),
    "planning.PlanError": Entry(
        "days",
        "The days that were asked for are none, lie outside of the calendar, or beyond the "
        "channel's limit.",
        "Write a date like 2026-01-31 or a number of days like 180d; `VENTROS_HISTORY_START` is "
        "the first day, and `ventros channel enable CHANNEL --max-days N` sets the limit.",
    ),
    "runs.RunError": Entry(
        "run",
        "A step or a check of a run failed; the sentence is what it said. What was loaded before "
        "is kept.",
        "Do what it says, then repeat the command; the run's events in the Dagster UI "
        "(`ventros up`) say more.",
    ),
    "settings.SettingsError": Entry(
        "settings",
        "A variable has a value that does not parse, or production lacks one or refuses a demo "
        "part.",
        "Correct the variable that is named, in the environment or `.env`; see the page of "
        "settings.",
    ),
    "variables.SecretFileError": Entry(
        "settings.secret_file",
        "A variable `NAME_FILE` names a file that cannot be read, is empty or too large, or `NAME` "
        "is set as well.",
        "Let it name a file that holds the secret alone and that this user may read, or set `NAME` "
        "instead.",
    ),
    "serving.ServingError": Entry(
        "serve.ui",
        "Something listens on the port of the UI already; Dagster's code server was killed and all "
        "was stopped with it, and what was committed is kept; or a code server is served alone "
        "and nothing says where.",
        "End what listens or set `VENTROS_UI_PORT` to a free port; begin `ventros up` again, or "
        "let a service manager do so; set `VENTROS_CODE_SERVER`.",
    ),
    "instance.InstanceError": Entry(
        "serve.engine",
        "`VENTROS_ENGINE` needs something that is not there: Celery is not installed, or the "
        "configuration of Dagster's chart is missing.",
        "Do what the sentence says, or set `VENTROS_ENGINE` to another engine.",
    ),
    "api.server.ServeError": Entry(
        "serve.api",
        "The HTTP API cannot listen where it was told to.",
        "Choose another address with `ventros serve --host ADDRESS --port P`.",
    ),
    "cli.init.InitError": Entry(
        "init",
        "An answer does not work, and there is no person to ask again.",
        "Do what the sentence says, then run `ventros init` again; what worked is kept in `.env`.",
    ),
    "replay.account.AccountError": Entry(
        "replay.account",
        "The folder is not an account that can be replayed.",
        "Give the folder that holds `messages.ndjson.gz`.",
    ),
    "report.page.PageError": Entry(
        "report.page",
        "The file that `ventros report --html` names cannot be written.",
        "Name a file in a folder that you may write to.",
    ),
    "crm.chats.ChatError": Entry(
        "import.chat",
        "A chat that an import is to be limited to is not there.",
        "Take the id as WAHA shows it for `ventros import --chat`, and the CRM's "
        "`public.chats.id` for the configuration of a run.",
    ),
    "alerting.AlertError": Entry(
        "alert",
        "The webhook of alerts is not set, cannot be posted to, or did not take the alert. What "
        "was to be told is told at the next look, but for a failed run's alert, which stands in "
        "the UI.",
        "Correct `VENTROS_ALERT_URL`, or `VENTROS_ALERT_SHAPE` where its host does not tell what "
        "it takes; a service that was down needs nothing.",
    ),
}

# Errors that never reach a person, each with who catches it.
INTERNAL: Mapping[str, str] = {
    "alerting._NotTakenError": "it is told as the AlertError that it is",
    "crm.loaded.ForgottenError": "the importer looks at the whole window instead",
    "replay.wire.RefusalError": "the replayed server answers as WAHA would",
    "replay.wire.CrashError": "the replayed server answers as WAHA would",
    "api.problems.Problem": "it is an answer of the API; see PROBLEMS",
}

# What `ventros doctor` and `ventros init` complain of; each also brings a plan for its own cases.
COMPLAINTS: Mapping[str, Entry] = {
    "waha_unreachable": Entry(
        "doctor.waha_unreachable",
        "WAHA does not answer.",
        "Start WAHA, or correct the address with `ventros channel add`.",
    ),
    "waha_refuses": Entry(
        "doctor.waha_refuses",
        "WAHA answers, and refuses the session, the address or the key.",
        "Correct session, address or key with `ventros channel add`.",
    ),
    "waha_session_not_working": Entry(
        "doctor.waha_session_not_working",
        "The session is not `WORKING`.",
        "Pair or start the session in WAHA's dashboard.",
    ),
    "waha_engine_unknown": Entry(
        "doctor.waha_engine_unknown",
        "WAHA names no engine that is known here.",
        "Set WHATSAPP_DEFAULT_ENGINE of WAHA to NOWEB, GOWS, WEBJS or WPP.",
    ),
    "waha_is_old": Entry(
        "doctor.waha_is_old",
        "WAHA is older than the releases that answer for all chats at once.",
        "Update WAHA; until then it is read with more requests.",
    ),
    "waha_store_off": Entry(
        "doctor.waha_store_off",
        "NOWEB was paired with its store off, so it has no history.",
        "Set config.noweb.store.enabled and fullSync to true, then pair the session anew.",
    ),
    "waha_store_is_short": Entry(
        "doctor.waha_store_is_short",
        "NOWEB was paired without `fullSync`, so it has about three months.",
        "For a year set config.noweb.store.fullSync to true, then pair the session anew.",
    ),
    "migrations_pending": Entry(
        "doctor.migrations_pending",
        "This version is newer than the database.",
        "As the owner of the CRM's tables: `ventros db migrate`.",
    ),
    "crm_is_other": Entry(
        "doctor.crm_is_other",
        "The CRM's tables have changed, or are those of another version.",
        "Use a version of ventros-pipeline that knows this CRM, or tell us.",
    ),
    "privileges_lacking": Entry(
        "doctor.privileges_lacking",
        "The role lacks a right that an import uses, or row-level security has no policy for it.",
        "As the owner of the CRM's tables run sql/roles/create_importer.sql, and connect "
        "as `ventros_importer`.",
    ),
    "messages_not_unique": Entry(
        "doctor.messages_not_unique",
        "The CRM's migration 000052 is missing: nothing keeps messages single.",
        "Let the CRM apply that migration.",
    ),
    "sessions_not_indexed": Entry(
        "doctor.sessions_not_indexed",
        "The CRM looks up the agents of a session without an index. Imports are right all the "
        "same, and slower with each session there is.",
        "Make the index that the complaint names, at a quiet moment.",
    ),
    "postgres_is_old": Entry(
        "doctor.postgres_is_old",
        "The server is older than those that the tests run on.",
        "Update the server.",
    ),
    "pooled_by_transaction": Entry(
        "doctor.pooled_by_transaction",
        "`VENTROS_DATABASE_URL` leads to a pooler in transaction mode, such as PgBouncer. There "
        "prepared statements fail, the limits that one client sets hold for another, a migration "
        "leaves its lock behind, and each run keeps several of the pool's sessions for itself.",
        "Let `VENTROS_DATABASE_URL` name the server itself, or a pooler in session mode. "
        "`VENTROS_DAGSTER_DATABASE_URL` may go through it.",
    ),
    "clocks_differ": Entry(
        "doctor.clocks_differ",
        "The clock of this machine or of the database is wrong.",
        "Let both machines follow a time server.",
    ),
    "archive_disk_is_full": Entry(
        "doctor.archive_disk_is_full",
        "The disk under `VENTROS_HOME` is nearly full.",
        "Free some space, or give `VENTROS_HOME` a larger disk.",
    ),
    "archive_unreachable": Entry(
        "doctor.archive_unreachable",
        "The object store of the archive cannot be reached, or does not let us write.",
        "Do what the complaint says; the store's variables stand in the environment, its address "
        "in `VENTROS_ARCHIVE_URI`.",
    ),
    "row_of_another_tenant": Entry(
        "doctor.row_of_another_tenant",
        "Somebody moved a row, or a whole channel, to another project by hand, or wrote one with "
        "another tenant's name on it.",
        "Set right in the CRM whose each named row is; an import moves nothing between tenants.",
    ),
    "message_twice": Entry(
        "doctor.message_twice",
        "The CRM stored a message under two ids, or somebody copied a row.",
        "Keep the row that is named first, delete the others in the CRM.",
    ),
    "contact_twice": Entry(
        "doctor.contact_twice",
        "A person was typed in by hand, perhaps without the ninth digit.",
        "`ventros people merge CHANNEL CONTACT CONTACT`, as it is named.",
    ),
    "lid_with_two_numbers": Entry(
        "doctor.lid_with_two_numbers",
        "Somebody changed their number, or WhatsApp was wrong once.",
        "Look at the contact; `ventros people unmerge CHANNEL MERGE` if it holds two people.",
    ),
    "people_not_settled": Entry(
        "doctor.people_not_settled",
        "A merge waits for the next import to carry it out.",
        "Import any day: `ventros import CHANNEL --since 1d`.",
    ),
    "lid_without_number": Entry(
        "doctor.lid_without_number",
        "WhatsApp hides the numbers of people who were only met in groups.",
        "Turn on the schedule `identity_sweep_hourly` in the Dagster UI.",
    ),
    "rows_in_quarantine": Entry(
        "doctor.rows_in_quarantine",
        "WAHA gave rows that this version cannot read.",
        "`ventros quarantine list CHANNEL`; after an update `ventros quarantine retry CHANNEL`.",
    ),
    "import_failed": Entry(
        "doctor.import_failed",
        "The last import ended before its end.",
        "Mend what it says, then go on: `ventros import CHANNEL`.",
    ),
    "plan_is_stale": Entry(
        "doctor.plan_is_stale",
        "The daemon does not run, or `history_sensor` is off.",
        "Turn on `history_sensor` and keep `ventros up` running, or give the plan up: "
        "`ventros cancel CHANNEL`.",
    ),
    "daemon_not_running": Entry(
        "doctor.daemon_not_running",
        "Sensors or schedules are on, and no `ventros up` runs to tick them.",
        "Keep `ventros up` running.",
    ),
}

# Why a row waits in quarantine: `waha/wire.py`.
QUARANTINE: Mapping[str, Entry] = {
    "not_json": Entry(
        "quarantine.not_json",
        "The row is no JSON, mostly because it was cut off.",
        "Read its day again; a whole version of the row takes its place.",
    ),
    "too_deep": Entry(
        "quarantine.too_deep",
        "The row is nested so deeply that no reader takes it.",
        "Nothing here: it is no message that WhatsApp shows. It is kept.",
    ),
    "too_large": Entry(
        "quarantine.too_large",
        "The row has more than 4 MB without its thumbnails; no message of WhatsApp has a tenth of "
        "that. Its first 64 KB are kept here, all of it in the archive.",
        "Nothing here: it is no message that WhatsApp shows. It is kept.",
    ),
    "not_an_object": Entry(
        "quarantine.not_an_object",
        "The row is a number, a text or a list.",
        "Update WAHA; then read its day again.",
    ),
    "no_id": Entry(
        "quarantine.no_id",
        "The row has no id, so that nothing would keep it single. WEBJS before 2026.7.1 gives "
        "such rows.",
        "Update WAHA; then read its day again.",
    ),
    "no_chat": Entry(
        "quarantine.no_chat",
        "Nothing in the row says in which conversation it stands.",
        "Show its shape with `ventros quarantine show CHANNEL ID` and tell us; then `ventros "
        "quarantine retry CHANNEL` with the version that reads it.",
    ),
    "id_too_long": Entry(
        "quarantine.id_too_long",
        "An id in the row is longer than any index takes.",
        "Nothing here: it is no message that WhatsApp shows. It is kept.",
    ),
}

# Why a row is left out on purpose: `transform/conversations.py`, the cap of messages a chat, and an
# erasure.
FILTERED: Mapping[str, Entry] = {
    "newsletter": Entry(
        "filtered.newsletter", "A channel that somebody broadcasts in.", "Nothing: not imported."
    ),
    "broadcast": Entry(
        "filtered.broadcast", "A status, or a broadcast list.", "Nothing: not imported."
    ),
    "bot": Entry("filtered.bot", "A chat with a bot of WhatsApp's.", "Nothing: not imported."),
    "null_chat": Entry(
        "filtered.null_chat", "WhatsApp's own notices, from number 0.", "Nothing: not imported."
    ),
    "own_chat": Entry(
        "filtered.own_chat", "The chat of the account with itself.", "Nothing: not imported."
    ),
    "group_not_allowed": Entry(
        "filtered.group_not_allowed",
        "A group, and the channel takes none.",
        "`ventros channel add … --allow-groups`, then import again.",
    ),
    "over_chat_limit": Entry(
        "filtered.over_chat_limit",
        "Older than the newest messages of its chat that the channel's limit lets in.",
        "`ventros channel enable CHANNEL --max-per-chat N`, then import again.",
    ),
    "erased": Entry(
        "filtered.erased",
        "A row of a person who was erased, in an archive that the erasure has not come to.",
        "`ventros forget PHONE` again, with the same number: it was cut off, and finishes.",
    ),
}

# What became of a media file that is not there: `waha/media.py` and `importer.py`.
MEDIA: Mapping[str, Entry] = {
    "message_gone": Entry(
        "media.message_gone", "WAHA does not know the message any more.", "Nothing."
    ),
    "gone_from_whatsapp": Entry(
        "media.gone_from_whatsapp",
        "WhatsApp does not keep files for ever.",
        "Nothing: it may still be on the phone.",
    ),
    "server_gives_no_media": Entry(
        "media.server_gives_no_media",
        "WAHA runs with WHATSAPP_DOWNLOAD_MEDIA=false.",
        "Change that, delete the message's row in `history_sync.media`, and run `message_media`.",
    ),
    "too_large": Entry(
        "media.too_large", "The file is larger than the CRM takes of its kind.", "Nothing."
    ),
    "link_not_allowed": Entry(
        "media.link_not_allowed",
        "The file lies at an address that is not fetched.",
        "See waha.unsafe_url.",
    ),
    "no_answer": Entry(
        "media.no_answer", "The file did not come.", "Nothing: it is tried in five runs."
    ),
}

# Kinds of a failed range of a plan: `crm/plans.py`.
FAILURES: Mapping[str, Entry] = {
    "transient": Entry(
        "failure.transient", "It passes by itself.", "Nothing: the plan tries again."
    ),
    "not_ready": Entry(
        "failure.not_ready",
        "The session was not `WORKING`.",
        "Start or pair it; the plan waits for about a day.",
    ),
    "configuration": Entry(
        "failure.configuration",
        "Somebody has to change a setting.",
        "Do what the error says, then `ventros import CHANNEL`.",
    ),
    "poison": Entry(
        "failure.poison",
        "These days cannot be read or loaded, however often; the other days go on.",
        "Do what the error says, then run these days again.",
    ),
}

# Problems of the HTTP API: `api/problems.py` has their status and title.
PROBLEMS: Mapping[str, str] = {
    "bad-request": "Send what the OpenAPI document describes.",
    "unauthenticated": "Send an active key of the CRM, or sign the webhook with the channel's key.",
    "forbidden": "Let a member of the project with a role that may do it call.",
    "not-found": "Look the id up: `ventros channel list --json`.",
    "method-not-allowed": "Send what the OpenAPI document describes.",
    "busy": "Wait for the import that runs, or cancel it.",
    "too-large": "Send less.",
    "unsupported-media-type": "Send JSON.",
    "invalid": "Correct what `errors` names.",
    "refused": "Do what `detail` says; `ventros doctor CHANNEL` says more.",
    "too-many-requests": "Wait as long as `Retry-After` says, or raise `VENTROS_API_READ_RATE` or "
    "`VENTROS_API_START_RATE`.",
    "internal": "Look up the `instance` in the server's log.",
    "turned-off": "Set `VENTROS_WEBHOOK_HMAC_KEY`, or a key of the channel's own.",
    "unavailable": "Try again; look whether the database runs.",
}


def entry_of(error: BaseException) -> Entry | None:
    """Return what is known of an error's kind."""
    kind = type(error)
    return ERRORS.get(f"{kind.__module__.removeprefix('ventros_pipeline.')}.{kind.__name__}")
