"""Parley's command line. It parses, calls, prints; nothing heavy is loaded until a command needs it.

Exit codes: 0 done, 1 failed with one clear line that ends with the remedy, 2 wrong usage.
With --json, standard output is one JSON object and nothing else.
"""

from __future__ import annotations

import argparse
import atexit
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO

from settings import Settings, SettingsError, flag, load_settings, variable

log = logging.getLogger("parley")

OURS = frozenset({"rag", "speech", "ui", "planning", "engines", "evaluation", "serving", "commands", "bench"})
DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    args = build_parser().parse_args(argv)
    try:
        settings = load_settings(_flags(args))
    except SettingsError as error:
        return _say_failure(error, WRONG_USAGE)
    _prepare_process(settings, verbose=args.verbose)
    with _standard_output(reserved=getattr(args, "json", False)) as output:
        try:
            return int(args.command(args, settings, output))
        except KeyboardInterrupt:
            return INTERRUPTED
        except Exception as error:
            if not _is_for_people(error):
                log.debug("Unexpected error", exc_info=True)
                text = (
                    f"{type(error).__name__}: {error}. Run it again with --verbose and report what it shows."
                )
                return _say_failure(text, FAILED)
            return _say_failure(error, FAILED)


def build_parser() -> argparse.ArgumentParser:
    """The command line: every setting is also a flag of every command."""
    parser = argparse.ArgumentParser(prog="app.py", description="Parley: talk with your documents.")
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def add(
        name: str, command: Command, summary: str, *, as_json: bool = False, without: str = ""
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(command=command)
        _add_common(sub, {"hf_token", "corpus", without})
        if as_json:
            sub.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
        return sub

    add("serve", serve, "Serve the page.")
    index = add("index", index_, "Bring the index up to date with folders and web pages.", as_json=True)
    index.add_argument("--url", action="append", default=[], metavar="URL", help="web page; may be repeated")
    index.add_argument(
        "--forget", action="append", default=[], metavar="DIR", help="folder to take out of the index"
    )
    ask = add("ask", ask_, "Answer one question.", as_json=True)
    ask.add_argument("question")
    ask.add_argument(
        "--collection", default="", metavar="NAME", help="ask only a corpus folder, Uploads, or Web pages"
    )
    ask.add_argument("--speak", type=Path, metavar="OUT.wav", help="also speak the answer into a file")
    add("transcribe", transcribe, "Write down what is said in a recording.", as_json=True).add_argument(
        "file", type=Path
    )
    speak = add("speak", speak_, "Speak a text into a WAV file.")
    speak.add_argument("text")
    speak.add_argument("--out", type=Path, required=True, metavar="FILE")
    _add_eval(add("eval", eval_, "Measure retrieval and answers on questions.", as_json=True))
    summary = "Measure how fast this machine answers, speaks and indexes."
    bench = add("bench", bench_, summary, as_json=True, without="voice")
    what = bench.add_mutually_exclusive_group()
    what.add_argument("--gpu", action="store_true", help="models of the real sizes on the GPU instead")
    what.add_argument(  # not the name of a voice, as elsewhere
        "--voice", dest="live", action="store_true", help="the live conversation instead, in Chromium"
    )
    bench.add_argument(
        "--recordings", type=Path, metavar="DIR", help="with --voice: spoken questions, and voices to mix"
    )
    _add_plan(add("plan", plan_, "Say what would run where, and how much memory it takes.", as_json=True))
    add("doctor", doctor_, "Say what works, what does not, and what to do.")
    return parser


def _add_eval(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "questions",
        type=Path,
        metavar="QUESTIONS.jsonl",
        help="or a table (.csv), or one question a line (.txt)",
    )
    parser.add_argument(
        "--compare",
        default="",
        metavar="NAME=VALUE[,NAME=VALUE]",
        help="measure a second time with other settings, and say which differences are more than chance",
    )
    parser.add_argument(
        "--spoken", action="store_true", help="also have each question said by a voice, recognised, and asked"
    )
    parser.add_argument(
        "--noise",
        type=float,
        metavar="DB",
        help="with --spoken: in noise, the voice so many decibels above it",
    )


def _add_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        nargs="?",
        default="",
        metavar="MODEL",
        help="a language model's name or path; else PARLEY_LLM",
    )
    parser.add_argument(
        "--gpu",
        action="append",
        metavar="SIZE",
        help="imagine a GPU of that size, such as 16GB; may be repeated; 0: no GPU",
    )
    parser.add_argument("--ram", metavar="SIZE", help="imagine a main memory of that size")


def _add_common(parser: argparse.ArgumentParser, without: set[str]) -> None:
    """What every command takes."""
    parser.add_argument("--verbose", action="store_true", help="log more, with tracebacks")
    group = parser.add_argument_group("settings (each also a PARLEY_ variable; README.md has the table)")
    for name, info in Settings.model_fields.items():
        if name in without:
            continue
        how: dict[str, Any] = {"help": f"{info.description} ({variable(name)})".replace("%", "%%")}
        if info.annotation is bool:
            how["action"] = argparse.BooleanOptionalAction
        else:
            how["metavar"] = name.rpartition("_")[2].upper()
        group.add_argument(flag(name), **how)
    group.add_argument(
        "--corpus", action="append", metavar="DIR", help="folder of documents; may be repeated"
    )


Command = Callable[[argparse.Namespace, Settings, TextIO], int]


def serve(args: argparse.Namespace, settings: Settings, output: TextIO) -> int:
    from serving.server import run

    return run(settings)


def index_(args: argparse.Namespace, settings: Settings, output: TextIO) -> int:
    from commands.indexing import index
    from engines import Engines

    with Engines(settings) as engines:
        folders = settings.corpus if args.corpus or not (args.url or args.forget) else ()
        report = index(engines, folders, args.url, args.forget, progress=_progress_line)
    if args.json:
        _print_json(report, output)
        return DONE
    names = ("added", "updated", "removed", "unchanged")
    counts = ", ".join(f"{report[name]} {name}" for name in names)
    output.write(f"{counts}; {report['chunks']} chunks in {report['seconds']:.1f} s\n")
    for failure in report["failed"]:
        output.write(f"not read: {failure['source']}: {failure['error']}\n")
    for document in report["partly"]:
        output.write(f"read in part: {document['source']}: {document['notice']}\n")
    return DONE


def ask_(args: argparse.Namespace, settings: Settings, output: TextIO) -> int:
    from commands.asking import ask
    from commands.indexing import index_first
    from engines import Engines

    with Engines(settings) as engines:
        index_first(engines, always=bool(args.corpus), progress=_progress_line)
        live = None if args.json else output
        result = ask(engines, args.question, collection=args.collection, speak=args.speak, live=live)
    if args.json:
        _print_json(result, output)
    return DONE


def transcribe(args: argparse.Namespace, settings: Settings, output: TextIO) -> int:
    from engines import Engines

    with Engines(settings) as engines:
        transcript = engines.hearing.transcribe(args.file)
        notice = engines.hearing.in_force().notice
    if notice:
        log.warning("%s", notice)
    if args.json:
        _print_json(
            {
                "text": transcript.text,
                "language": transcript.language,
                "engine": transcript.engine,
                "seconds": transcript.seconds,
            },
            output,
        )
    else:
        output.write((transcript.text or "I heard nothing.") + "\n")
    return DONE


def speak_(args: argparse.Namespace, settings: Settings, output: TextIO) -> int:
    from commands.asking import speak
    from engines import Engines

    with Engines(settings) as engines:
        seconds = speak(engines, args.text, args.out)
    output.write(f"{args.out}: {seconds:.1f} s\n")
    return DONE


def eval_(args: argparse.Namespace, settings: Settings, output: TextIO) -> int:
    from commands.evaluating import evaluate_on
    from commands.indexing import index_first
    from engines import EngineError, Engines
    from evaluation.measuring import parse_comparison
    from evaluation.reporting import as_text
    from rag.questions import read_questions

    if args.noise is not None and not args.spoken:
        raise EngineError("--noise is for spoken questions. Add --spoken.")
    changes = parse_comparison(args.compare) if args.compare else {}
    rows = read_questions(args.questions)
    with Engines(settings, apart="eval" if args.corpus else "") as engines:
        index_first(engines, always=bool(args.corpus), progress=_progress_line)
        result = evaluate_on(
            engines, rows, _progress_line, changes=changes, spoken=args.spoken, noise=args.noise
        )
    if args.json:
        _print_json(result, output)
    else:
        output.write(as_text(result))
    return DONE


def bench_(args: argparse.Namespace, settings: Settings, output: TextIO) -> int:
    if args.live:
        from bench.voice import bench_voice

        result = bench_voice(recordings=args.recordings, progress=_progress_line)
    elif args.gpu:
        from bench.gpu import bench_gpu

        result = bench_gpu(settings, progress=_progress_line)
    else:
        from bench.machine import bench

        result = bench(settings, progress=_progress_line)
    if args.json:
        _print_json(result, output)
    else:
        for name, value in result.items():
            output.write(f"{name:32} {value}\n")
    return DONE


def plan_(args: argparse.Namespace, settings: Settings, output: TextIO) -> int:
    from planning.arrangement import report
    from planning.reporting import as_text, as_values
    from rag.llms.machine import imagined, this_machine

    found = report(settings, imagined(args.gpu, args.ram, this_machine()), args.model)
    if args.json:
        _print_json(as_values(found), output)
    else:
        output.write(as_text(found))
    return DONE


def doctor_(args: argparse.Namespace, settings: Settings, output: TextIO) -> int:
    from commands.doctor import examine

    failed = 0
    for check in examine(settings):
        output.write(f"{check.mark:5} {check.name}: {check.finding}\n")
        if check.remedy:
            output.write(f"      → {check.remedy}\n")
        failed += check.mark == "FAIL"
    return FAILED if failed else DONE


def _flags(args: argparse.Namespace) -> dict[str, object]:
    flags = {name: getattr(args, name, None) for name in Settings.model_fields}
    if args.corpus:
        flags["corpus"] = tuple(Path(folder) for folder in args.corpus)
    return flags


def _prepare_process(settings: Settings, *, verbose: bool) -> None:
    """Logging, and what libraries read from the environment when they are imported."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    for name in ("parley", *OURS):
        logging.getLogger(name).setLevel(logging.DEBUG if verbose else logging.INFO)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    for name in ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2"):
        os.environ[name] = "false"  # langchain-core would send questions and passages to a service
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", "5")
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", "10")
    os.environ.setdefault(
        "TOKENIZERS_PARALLELISM", "false"
    )  # its threads do not survive a fork, and it warns
    if not sys.stderr.isatty():
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    if settings.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"


@contextmanager
def _standard_output(reserved: bool) -> Iterator[TextIO]:
    """Where results go. Reserved: whatever else prints, also from C, goes to standard error instead."""
    if not reserved:
        yield sys.stdout
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(kept, "w", encoding="utf-8", closefd=False) as output:
            yield output
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _print_json(value: object, output: TextIO) -> None:
    output.write(json.dumps(value, ensure_ascii=False) + "\n")
    output.flush()


def _progress_line(done: int, total: int, what: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{done}/{total} {what[:60]}" + ("\n" if done == total else ""))
        sys.stderr.flush()


def _is_for_people(error: Exception) -> bool:
    """Whether the message was written for the person: one of our own error classes."""
    return type(error).__module__.split(".")[0] in OURS


def _say_failure(error: object, code: int) -> int:
    sys.stderr.write(f"parley: {error}\n")
    return code


def leave(code: int) -> NoReturn:
    """End the program at once, after what was registered for its end.

    Python's own end takes the threads of models that still load or compute down in the middle of C++ code,
    which aborts the program with a core dump.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    try:
        code: object = main()
    except SystemExit as leaving:  # wrong usage, or a signal to stop
        code = leaving.code
    leave(code if isinstance(code, int) else FAILED)
