"""The texts of reports in every language they are written in, and its form of numbers and dates.

What belongs here: one catalogue, with the same keys in every language. A text with a bar has two
forms, for one and for many, and `n` chooses. What does not: which text is said when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

LANGUAGES = ("en", "pt-BR")

# key: (English, Brazilian Portuguese)
CATALOGUE: Mapping[str, tuple[str, str]] = {
    "title": ("Is everything there?", "Está tudo aí?"),
    "subtitle": ("WhatsApp history in the CRM", "Histórico do WhatsApp no CRM"),
    "channel": ("Channel", "Canal"),
    "written": ("Written {at}", "Escrito em {at}"),
    "asked": ("WhatsApp was last asked {at}", "WhatsApp consultado pela última vez em {at}"),
    "utc": (
        "Days and times are UTC. This page holds no message text, phone number or name.",
        "Dias e horários em UTC. Esta página não contém texto de mensagens, telefones nem nomes.",
    ),
    "why": ("Why", "Por quê"),
    "next": ("What to do next", "O que fazer agora"),
    "detail": ("What the pipeline said", "O que o sistema disse"),
    "left_out": ("Left out on purpose", "Deixado de fora de propósito"),
    "nothing": ("Nothing yet.", "Nada ainda."),
    "share": ("Share", "Parte"),
    # The verdict.
    "verdict.complete.short": ("Complete", "Completo"),
    "verdict.settling.short": ("Complete, still settling", "Completo, ainda assentando"),
    "verdict.incomplete.short": ("Not complete", "Incompleto"),
    "verdict.complete": (
        "Complete: everything that WhatsApp has shown is in the CRM, {messages} message."
        "|Complete: everything that WhatsApp has shown is in the CRM, {messages} messages.",
        "Completo: tudo o que o WhatsApp mostrou está no CRM, {messages} mensagem."
        "|Completo: tudo o que o WhatsApp mostrou está no CRM, {messages} mensagens.",
    ),
    "verdict.settling": (
        "Complete so far: everything that WhatsApp has shown is in the CRM, {messages} message, "
        "and some days may still grow."
        "|Complete so far: everything that WhatsApp has shown is in the CRM, {messages} messages, "
        "and some days may still grow.",
        "Completo até agora: tudo o que o WhatsApp mostrou está no CRM, {messages} mensagem, "
        "e alguns dias ainda podem crescer."
        "|Completo até agora: tudo o que o WhatsApp mostrou está no CRM, {messages} mensagens, "
        "e alguns dias ainda podem crescer.",
    ),
    "verdict.incomplete": (
        "Not complete: the CRM holds {messages} message, and something is missing."
        "|Not complete: the CRM holds {messages} messages, and something is missing.",
        "Incompleto: o CRM tem {messages} mensagem, e falta alguma coisa."
        "|Incompleto: o CRM tem {messages} mensagens, e falta alguma coisa.",
    ),
    "reason.never_imported": (
        "Nothing of this channel was imported yet.",
        "Nada deste canal foi importado ainda.",
    ),
    "reason.importing": (
        "The import is running: {done} of {total} day is done."
        "|The import is running: {done} of {total} days are done.",
        "A importação está em andamento: {done} de {total} dia pronto."
        "|A importação está em andamento: {done} de {total} dias prontos.",
    ),
    "reason.problem": (
        "WhatsApp cannot be read until somebody mends the connection.",
        "O WhatsApp não pode ser lido até alguém corrigir a conexão.",
    ),
    "reason.balance_open": (
        "The balance of {days} day does not close ({when}): a row was lost on the way."
        "|The balance of {days} days does not close ({when}): rows were lost on the "
        "way.",
        "O balanço de {days} dia não fecha ({when}): uma linha se perdeu no caminho."
        "|O balanço de {days} dias não fecha ({when}): linhas se perderam no caminho.",
    ),
    "reason.import_failed": (
        "The last import failed, and {days} day was not read ({when})."
        "|The last import failed, and {days} days were not read ({when}).",
        "A última importação falhou, e {days} dia não foi lido ({when})."
        "|A última importação falhou, e {days} dias não foram lidos ({when}).",
    ),
    "reason.missing": (
        "{days} day was never read as a whole ({when})."
        "|{days} days were never read as a whole ({when}).",
        "{days} dia nunca foi lido por inteiro ({when})."
        "|{days} dias nunca foram lidos por inteiro ({when}).",
    ),
    "reason.quarantined": (
        "{rows} row could not be understood; it is kept, and not in the CRM ({when})."
        "|{rows} rows could not be understood; they are kept, and not in the CRM "
        "({when}).",
        "{rows} linha não pôde ser entendida; está guardada, mas não no CRM ({when})."
        "|{rows} linhas não puderam ser entendidas; estão guardadas, mas não no CRM "
        "({when}).",
    ),
    "reason.unfinished": (
        "{days} day was read before it was over, and not since ({when})."
        "|{days} days were read before they were over, and not since ({when}).",
        "{days} dia foi lido antes de terminar, e não depois ({when})."
        "|{days} dias foram lidos antes de terminar, e não depois ({when}).",
    ),
    "reason.settling": (
        "{days} day grew when it was last checked, or was checked only once ({when}). "
        "It is asked about again until it stops growing."
        "|{days} days grew when they were last checked, or were checked only once "
        "({when}). They are asked about again until they stop growing.",
        "{days} dia cresceu na última verificação, ou só foi verificado uma vez "
        "({when}). Será consultado de novo até parar de crescer."
        "|{days} dias cresceram na última verificação, ou só foram verificados uma vez "
        "({when}). Serão consultados de novo até pararem de crescer.",
    ),
    "limit.max_days": (
        "The channel is imported for its last {days} day only."
        "|The channel is imported for its last {days} days only.",
        "O canal é importado somente no último {days} dia."
        "|O canal é importado somente nos últimos {days} dias.",
    ),
    "limit.max_per_chat": (
        "Of each chat, only the newest {messages} message is imported."
        "|Of each chat, only the newest {messages} messages are imported.",
        "De cada conversa, só a {messages} mensagem mais nova é importada."
        "|De cada conversa, só as {messages} mensagens mais novas são importadas.",
    ),
    "limit.filtered": (
        "{rows} row was left out for what it is, such as a broadcast; the table below says why."
        "|{rows} rows were left out for what they are, such as broadcasts; the table below says "
        "why.",
        "{rows} linha ficou de fora pelo que é, como uma transmissão; a tabela abaixo diz por quê."
        "|{rows} linhas ficaram de fora pelo que são, como transmissões; a tabela abaixo diz por "
        "quê.",
    ),
    # The figures at the top.
    "figures": ("In figures", "Em números"),
    "figure.messages": ("Messages", "Mensagens"),
    "figure.people": ("People with a chat", "Pessoas com conversa"),
    "figure.sessions": ("Sessions", "Sessões"),
    "figure.first": ("First message", "Primeira mensagem"),
    "figure.last": ("Last message", "Última mensagem"),
    # Days.
    "days": ("Every day, and what is known of it", "Cada dia, e o que se sabe dele"),
    "days.says": (
        "Each square is a day. The stronger its colour, the more messages it has; its mark says "
        "how far it is known.",
        "Cada quadrado é um dia. Quanto mais forte a cor, mais mensagens; a marca diz o quanto "
        "ele é conhecido.",
    ),
    "days.first": (
        "{day} also stands for everything before it and for what has no time: {n} message."
        "|{day} also stands for everything before it and for what has no time: {n} messages.",
        "{day} também representa tudo o que vem antes e o que não tem hora: {n} mensagem."
        "|{day} também representa tudo o que vem antes e o que não tem hora: {n} mensagens.",
    ),
    "span": ("{first} to {last}", "{first} a {last}"),
    "days.older": ("Older days are in the report page.", "Dias mais antigos estão na página."),
    "days.less": ("fewer messages", "menos mensagens"),
    "days.more": ("more messages", "mais mensagens"),
    "days.messages": ("{n} message|{n} messages", "{n} mensagem|{n} mensagens"),
    "days.one": (
        "{day}: {n} message, {state}|{day}: {n} messages, {state}",
        "{day}: {n} mensagem, {state}|{day}: {n} mensagens, {state}",
    ),
    "state": ("State", "Estado"),
    "state.means": ("What it means", "O que significa"),
    "state.unknown": ("not read", "não lido"),
    "state.reading": ("not over when read", "lido antes do fim"),
    "state.settling": ("may still grow", "ainda pode crescer"),
    "state.settled": ("stopped growing", "parou de crescer"),
    "state.exhausted": ("final", "definitivo"),
    "state.unknown.means": (
        "nothing of it was read, or only some of its chats",
        "nada dele foi lido, ou só algumas conversas",
    ),
    "state.reading.means": (
        "it was not over when it was read, and was not read as a whole since",
        "não tinha acabado quando foi lido, e não foi lido por inteiro depois",
    ),
    "state.settling.means": (
        "all that was shown of it is there; it had grown when it was last checked",
        "tudo o que foi mostrado está aí; tinha crescido na última verificação",
    ),
    "state.settled.means": (
        "it had not grown when it was last checked; it is checked again, ever more seldom",
        "não tinha crescido na última verificação; é verificado de novo, cada vez menos",
    ),
    "state.exhausted.means": (
        "it did not grow in three checks and a week",
        "não cresceu em três verificações e uma semana",
    ),
    "month": ("Month", "Mês"),
    "months": ("Messages and days by month", "Mensagens e dias por mês"),
    # Pictures and tables.
    "balance": ("Balance", "Balanço"),
    "balance.says": (
        "Of {n} row that WhatsApp gave, {stored} is in the CRM.|Of {n} rows that WhatsApp gave, "
        "{stored} are in the CRM.",
        "De {n} linha que o WhatsApp deu, {stored} está no CRM.|De {n} linhas que o WhatsApp deu, "
        "{stored} estão no CRM.",
    ),
    "balance.closes": (
        "The balance closes: every row is accounted for.",
        "O balanço fecha: cada linha tem seu lugar.",
    ),
    "balance.open": (
        "The balance does not close: rows are unaccounted for.",
        "O balanço não fecha: há linhas sem explicação.",
    ),
    "count.seen": ("seen at WhatsApp", "vistas no WhatsApp"),
    "count.inserted": ("new in the CRM", "novas no CRM"),
    "count.updated": ("changed in the CRM", "alteradas no CRM"),
    "count.unchanged": ("in the CRM already", "já no CRM"),
    "count.duplicate": ("copies of another", "cópias de outra"),
    "count.filtered": ("left out on purpose", "deixadas de fora"),
    "count.quarantined": ("in quarantine", "em quarentena"),
    "outcome": ("What became of it", "O que aconteceu"),
    "rows": ("Rows", "Linhas"),
    "reasons": ("Not in the CRM, and why", "Fora do CRM, e por quê"),
    "because": ("Reason", "Motivo"),
    "because.broadcast": ("status or broadcast list", "status ou lista de transmissão"),
    "because.newsletter": ("newsletter channel", "canal de notícias"),
    "because.bot": ("WhatsApp's own bot", "robô do próprio WhatsApp"),
    "because.null_chat": ("without a conversation", "sem conversa"),
    "because.own_chat": ("the chat with oneself", "conversa consigo mesmo"),
    "because.group_not_allowed": ("group; groups are off", "grupo; grupos desligados"),
    "because.over_chat_limit": ("beyond the limit per chat", "além do limite por conversa"),
    "because.erased": ("a person who was erased", "pessoa que foi apagada"),
    "kind": ("Kinds of messages", "Tipos de mensagem"),
    "kind.text": ("text", "texto"),
    "kind.image": ("image", "imagem"),
    "kind.video": ("video", "vídeo"),
    "kind.audio": ("audio", "áudio"),
    "kind.voice": ("voice note", "mensagem de voz"),
    "kind.document": ("document", "documento"),
    "kind.location": ("location", "localização"),
    "kind.contact": ("contact card", "cartão de contato"),
    "kind.sticker": ("sticker", "figurinha"),
    "kind.system": ("anything else", "outros"),
    "direction": ("Direction", "Direção"),
    "direction.incoming": ("received", "recebida"),
    "direction.outgoing": ("sent", "enviada"),
    "status": ("Delivery of what was sent", "Entrega do que foi enviado"),
    "status.queued": ("waiting", "na fila"),
    "status.failed": ("failed", "falhou"),
    "status.sent": ("sent", "enviada"),
    "status.delivered": ("delivered", "entregue"),
    "status.read": ("read", "lida"),
    "status.played": ("played", "reproduzida"),
    "people": (
        "People, and what says who they are",
        "Pessoas, e o que diz quem elas são",
    ),
    "people.count": ("People", "Pessoas"),
    "people.operator": ("number and id: a person said so", "número e id: alguém disse"),
    "people.lids": (
        "number and id: WhatsApp's table",
        "número e id: tabela do WhatsApp",
    ),
    "people.contacts": (
        "number and id: address book",
        "número e id: agenda de contatos",
    ),
    "people.groups": (
        "number and id: group members",
        "número e id: membros de um grupo",
    ),
    "people.messages": ("number and id: a message", "número e id: uma mensagem"),
    "people.stanzas": (
        "number and id: one message twice",
        "número e id: mensagem nos dois",
    ),
    "people.crm": ("number and id: the CRM", "número e id: o CRM"),
    "people.looks": ("number and id: how they look", "número e id: pela forma"),
    "people.number_only": ("number alone", "só o número"),
    "people.lid_only": ("hidden id alone, no number yet", "só o id, ainda sem número"),
    "people.other": ("neither", "nenhum dos dois"),
    "sessions": ("Sessions by length", "Sessões por tamanho"),
    "sessions.count": ("Sessions", "Sessões"),
    "sessions.1": ("1 message", "1 mensagem"),
    "sessions.2-5": ("2 to 5 messages", "2 a 5 mensagens"),
    "sessions.6-20": ("6 to 20 messages", "6 a 20 mensagens"),
    "sessions.21-100": ("21 to 100 messages", "21 a 100 mensagens"),
    "sessions.101+": ("more than 100 messages", "mais de 100 mensagens"),
    "import": ("The import", "A importação"),
    "import.done": ("days done", "dias prontos"),
    "import.ahead": ("days ahead", "dias à frente"),
    "import.rate": ("messages a second", "mensagens por segundo"),
    "import.took": ("time worked", "tempo de trabalho"),
    "import.left": ("time left", "tempo restante"),
    "import.read": ("rows read", "linhas lidas"),
    "import.requests": ("requests to WhatsApp's server", "pedidos ao servidor do WhatsApp"),
    "import.retries": ("of them again", "destes, repetidos"),
    "import.status": ("state", "estado"),
    "import.status.requested": ("about to begin", "prestes a começar"),
    "import.status.running": ("running", "em andamento"),
    "import.status.completed": ("completed", "concluída"),
    "import.status.failed": ("failed", "falhou"),
    "import.runs": ("Messages a second, run by run", "Mensagens por segundo, por execução"),
    "figure": ("Figure", "Dado"),
    "value": ("Value", "Valor"),
    "messages": ("Messages", "Mensagens"),
    "number.of.days": ("Days", "Dias"),
    "from": ("First", "Primeiro"),
    "to": ("Last", "Último"),
}
_MONTHS = {
    "en": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    "pt-BR": "jan fev mar abr mai jun jul ago set out nov dez",
}
# Monday first.
WEEKDAYS = {"en": "MTWTFSS", "pt-BR": "STQQSSD"}


def printable(text: str) -> str:
    """Return a text in one line and without what a terminal would obey."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for character in " ".join(text.split())
    )


@dataclass(frozen=True)
class Words:
    """The texts of one language.

    Attributes:
        language: one of `LANGUAGES`.
    """

    language: str = "en"

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise ValueError(
                f"there are no texts in {self.language!r}; known are {', '.join(LANGUAGES)}"
            )

    def say(self, key: str, **values: Any) -> str:
        """Return a text with its figures in the language's form.

        Raises:
            KeyError: there is no such text, or a figure of it was not given.
        """
        text = CATALOGUE[key][LANGUAGES.index(self.language)]
        one, bar, many = text.partition("|")
        if bar:
            text = one if values["n"] == 1 else many
        return text.format(**{name: self.show(value) for name, value in values.items()})

    def name(self, group: str, value: str) -> str:
        """Return the name of a value; as it is where it has none."""
        found = CATALOGUE.get(f"{group}.{value}")
        if found is None:
            return printable(value.replace("_", " "))
        return found[LANGUAGES.index(self.language)]

    def show(self, value: Any) -> str:
        """Return a number, a day, days or a moment in the language's form; any text as it is."""
        if isinstance(value, tuple):
            first, last = value
            return self.show(first) if first == last else self.say("span", first=first, last=last)
        if isinstance(value, datetime):
            utc = value.astimezone(UTC)
            return f"{self.show(utc.date())}, {utc:%H:%M} UTC"
        if isinstance(value, date):
            if self.language == "pt-BR":
                return f"{value:%d/%m/%Y}"
            return f"{self.month(value.month)} {value.day}, {value.year}"
        if isinstance(value, float):
            return self._points(f"{value:,.1f}")
        if isinstance(value, int):
            return self._points(f"{value:,}")
        return str(value)

    def share(self, part: float, whole: float) -> str:
        """Return how much of a whole a part is, in percent; nothing is never said of something."""
        percent = 100 * part / whole if whole else 0.0
        if 0 < percent < 0.1:
            return f"< {self.show(0.1)}%"
        return f"{self.show(percent)}%"

    def duration(self, seconds: float) -> str:
        """Return a length of time in its two largest units."""
        whole = round(seconds)
        if whole < 60:
            return f"{whole} s"
        if whole < 3600:
            return f"{whole // 60} min {whole % 60} s"
        return f"{self.show(whole // 3600)} h {whole % 3600 // 60} min"

    def month(self, number: int) -> str:
        """Return the short name of a month."""
        return _MONTHS[self.language].split()[number - 1]

    def month_of(self, day: date) -> str:
        """Return the month and year of a day."""
        if self.language == "pt-BR":
            return f"{day:%m/%Y}"
        return f"{self.month(day.month)} {day.year}"

    def _points(self, text: str) -> str:
        return text.translate(str.maketrans(",.", ".,")) if self.language == "pt-BR" else text
