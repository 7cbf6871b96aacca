"""Which level a line gives itself, whatever its message says."""

import pytest

from watchdog.logs.formats import FORMATS, classify, detect
from watchdog.logs.levels import Level

LEVELS = """
error    | 2026-02-19 01:33:50,123 | ERROR    | __main__ | ❌ Failed to parse TradeIntent
info     | 2026-02-11 00:00:01,951 | INFO     | __main__ | [PATH1B] SKIP AAAUSDT: blocked by risk
error    | 2026-02-10 23:58:47,049 | ERROR | ❌ exchange API error: APIError(code=-4164)
info     | 2026-01-17 07:05:42,208 | INFO | 🚫 TERMINAL STATE: FAILED | AAAUSDT BUY | Reason: API error
info     | 2026-02-17 21:46:01 [INFO] XRPUSDT: Result published (executed=False)
warning  | 2026-02-17 21:46:01.123 [warning  ] structlog pads inside
error    | 2026-02-19 01:33:50,123 - intent.bridge - ERROR - no key
warning  | 2026-02-19 01:33:50,123 - WARNING - only three fields
info     | [2026-02-19 01:33:50,123] [apply_layer] [INFO] plan published
critical | [2026-02-19 01:33:50 +0000] [4711] [CRITICAL] WORKER TIMEOUT
error    | [2026-02-19 01:33:50,123] ERROR in app: Exception on /health [GET]
warning  | [WARN] [GATE] heartbeat missing
error    | ERROR:root:the default format of logging
info     | INFO:     127.0.0.1:5000 - "GET /health HTTP/1.1" 200 OK
error    | 2026-02-19 01:33:50,123 ERROR [main] com.acme.Gate - refused
error    | ERROR 2026-02-19 01:33:50,123 views 4711 refused
info     | Feb 19 01:50:25 host unit[1]: 2026-02-19 01:50:25,123 | INFO     | x | y
error    | <11>Feb 19 01:50:25 host unit[1]: [ERROR] [GATE] refused
none     | Feb 19 01:50:25 host systemd[1]: x.service: Main process exited, status=203/EXEC
error    | 2026-02-19T01:50:25.123456+00:00 host unit[1]: [ERROR] rsyslog's own dates
warning  | 2026/02/19 01:50:25 [warn] 12#12: nginx
error    | time="2026-02-19T01:50:25Z" level=error msg="refused"
info     | ts=2026-02-19T01:50:25.000Z caller=main.go:12 level=info msg="level=error inside"
none     | ========== INTENT BRIDGE ==========
none     | ❌ ERROR: a bare print with a sign before it
none     | just text
none     |
"""

PROGRAMS = """
error    | 2026-02-19 01:33:50,123 ERROR [main] c.f.Bar - log4j
error    | 01:33:50.123 [main] ERROR c.f.Bar - logback
error    | 12 [main] ERROR c.f.Bar - log4j's milliseconds
error    | [main] ERROR com.acme.Gate - slf4j-simple
warning  | WARN  [main] com.acme.Gate - level first
error    | 2026-02-19 01:33:50.123 ERROR 4711 --- [nio-8080-exec-1] c.a.Gate : spring boot
error    | 2026-02-19 01:33:50.123 [pool-1 [a]] ERROR a.Gate - brackets in a thread's name
critical | SEVERE: java.util.logging, its second line
debug    | CONFIG: java.util.logging
critical | 19-Feb-2026 01:33:50.123 SEVERE [main] org.apache.catalina.Startup failed
none     | Feb 19, 2026 1:33:50 AM com.acme.Gate open
none     | 2026/02/19 01:33:50 Go's default log says no level
info     | 2022/11/08 15:28:26 INFO hello count=3
warning  | time=2026-02-19T01:33:50Z level=WARN+2 msg=slog
error    | 2026-02-19T01:33:50.123Z\terror\tgate.go:12\trefused\t{"code": 1}
error    | ERRO[0042] logrus on a terminal
error    | EROR[02-19|01:33:50] log15
warning  | WARN [02-19|01:33:50.123] geth
error    | 1:33AM ERR refused error=zerolog
warning  | 2026/02/19 01:33:50 [warn] 123#0: nginx
error    | [Thu Feb 19 01:33:50.123456 2026] [proxy:error] [pid 1:tid 2] apache
trace    | [Thu Feb 19 01:33:50.123456 2026] [ssl:trace4] [pid 1] apache
critical | F0219 01:33:50.123456 123 file.cc:12] glog
error    | 2026-02-19 01:33:50.123  123  456 E Tag: logcat with a year
error    | E/Tag( 123): logcat, brief
critical | 02-19 01:33:50.123 F/libc    ( 1766): logcat, time
debug    | 123:M 19 Feb 2026 01:33:50.123 . redis
info     | 123:M 19 Feb 2026 01:33:50.123 - redis
notice   | 123:S 19 Feb 2026 01:33:50.123 * redis
warning  | 123:M 19 Feb 2026 01:33:50.123 # redis
error    | 2026-02-19 01:33:50.123 UTC [123] ERROR:  postgresql
info     | 2026-02-19 01:33:50.123 UTC [123] LOG:  postgresql
debug    | 2026-02-19 01:33:50.123 UTC [123] DEBUG2:  postgresql
none     | 2026-02-19 01:33:50.123 UTC [123] STATEMENT:  SELECT 'ERROR:  x'
error    | 2026-02-19 01:33:50.123 | ERROR    | loguru:main:12 - refused
error    | fail: Acme.Gate[0]
error    | [01:33:50 ERR] serilog
error    | 2026-02-19 01:33:50.123 +01:00 [ERR] serilog
critical | [19-Feb-2026 01:33:50 UTC] PHP Fatal error:  Uncaught Error
notice   | PHP Deprecated:  old
warning  | [19-Feb-2026 01:33:50] WARNING: [pool www] server reached pm.max_children
error    | [2026-02-19 01:33:50] production.ERROR: laravel
error    | E, [2026-02-19T01:33:50.123456 #123] ERROR -- : ruby
none     | A, [2026-02-19T01:33:50.123456 #123]   ANY -- : ruby
info     | 2026-02-19T01:33:50.123456Z 0 [System] [MY-010116] [Server] mysql
error    | 2026-02-19  1:33:50 12 [ERROR] mariadb
error    | [2026-02-19T01:33:50Z ERROR main] env_logger
error    | 2026-02-19T01:33:50.123456Z ERROR gate: tracing, whose target looks like a syslog tag
info     | 2026-02-19T01:33:50.123456Z INFO gate: ERROR: in its message
error    | 2026-02-19T01:33:50.123Z [main] ERROR: a thread is no host
error    | [2026-02-19 01:33:50,123: ERROR/MainProcess] celery
error    | [2026-02-19, 01:33:50 UTC] {taskinstance.py:12} ERROR - airflow
error    | [E 2026-02-19 01:33:50.123 ServerApp] jupyter
error    | [E 260219 01:33:50 web:12] tornado
error    | E [19/Feb/2026:01:33:50 +0100] cups
warning  | 2026-02-19 01:33:50,123 [myid:1] - WARN  [Send:Worker@688] - zookeeper
error    | 01:33:50 [ERROR] a clock, then as usual
error    | 01:33:50 | ERROR    | a clock, then as usual
error    | 01:33:50,123 - gate - ERROR - a clock, then as usual
error    | 161209 14:18:53 [ERROR] mysql 5
error    | 2018-02-05T13:44:56.657+0100 E STORAGE  [initandlisten] mongodb 3
error    | 2023/09/24 22:15:55 cmd/web.go:223:runWeb() [E] gitea
error    | [ERROR 2015-05-20 12:22:19 main] puppet
error    | [Jan  5 10:22:31] ERROR[2217] asterisk
error    | Mar-18 21:41:15.684 [main] ERROR a.Gate - nextflow
error    | =ERROR REPORT==== 21-Apr-2016::21:19:01 ===
error    | 2026-02-19 01:33:50.123 4711 ERROR nova.compute.manager [req-1] openstack
error    | 081109 203615 148 ERROR dfs.DataNode: hdfs
info     | 2016-09-28 04:30:30, Info                  CBS    Loaded
error    | {"t":{"$date":"2021-03-22T21:21:20.349+00:00"},"s":"E",  "c":"STORAGE", "msg":"mongodb"}
"""

AROUND = """
error    | 2026-02-19T01:33:50.123456789Z stderr F 2026-02-19 01:33:50 ERROR x
none     | 2026-02-19T01:33:50.123456789Z stderr F on stderr, which is no level
error    | {"log":"2026-02-19 01:33:50 ERROR x\\n","stream":"stderr","time":"2026-02-19T01:33:50Z"}
error    | {"log":"{\\"level\\":\\"error\\"}\\n","stream":"stdout","time":"2026-02-19T01:33:50Z"}
error    | {"log":"\\u001b[31m[ERROR]\\u001b[0m x\\n","stream":"stdout","time":"2026-02-19T01:33:50Z"}
none     | {"log":"the job said ERROR\\n","stream":"stderr","time":"2026-02-19T01:33:50Z"}
warning  | caddy  | {"level":"warn","ts":1761019822.3,"msg":"docker compose logs"}
warning  | nova-compute.log.1.2026-01-05_10:22:31 2026-01-05 10:22:31.285 2931 WARNING nova.virt.libvirt merged
error    | app.log:17:2026-01-05 10:22:31,123 ERROR [main] c.f.Bar - what grep printed
none     | app.log: 3 files, ERROR none
info     | - 1117838570 2005.06.03 R02-M1-N0-C:J12-U11 2005-06-03-15.42.50.363779 R02-M1-N0 RAS KERNEL INFO corrected
error    | APPREAD 1117869872 2005.06.04 R04 2005-06-04-00.24.32.432192 R04-M1 RAS APP FAILURE ciod: failed to read
none     | step | ERROR: a table of somebody's
critical | <34>Oct 11 22:14:15 mymachine su: the priority says it
error    | <11>Feb 19 01:50:25 host unit[1]: refused
info     | <11>Feb 19 01:50:25 host unit[1]: [INFO] the line knows better
critical | <34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \ufeff'su root' failed
info     | <165>1 2003-10-11T22:14:15.003Z host app 1 ID47 [a@1 x="]\\"" y="z"][b@1] [INFO] refused
error    | <3>what a unit wrote for the journal
"""

TRAPS = """
none     | 2026-02-19 01:33:50 - Connection lost - Error: a message with dashes
none     | 2026-02-19 01:33:50 - Error: a message
none     | 2026/02/19 01:33:50 42 ERROR lines were found
none     | 2026/02/19 01:33:50 got [error] from the exchange
none     | 02-19 is the day, E is a letter
none     | E/mail was sent (12)
none     | Note: an English word
none     | [System] an English word
none     | fail: an English word
none     | error: a bare print
info     | 2026-02-19 01:33:50 | INFO | LOG | ERROR | x
error    | 2026-02-19 01:33:50 - log - ERROR - a logger named log
error    | 2026-02-19 01:33:50 | system | ERROR | a logger named system
info     | 2026-02-19 01:33:50,123 | INFO     | __main__ | retry | ERROR    | not a level
info     | 2026-02-19 01:33:50,123 - ERROR - INFO - a logger named ERROR
info     | [2026-02-19 01:33:50,123] [ERROR] [INFO] a logger named ERROR
error    | 2026-02-19 01:33:50,123 | ERROR | INFO | a logger named INFO
info     | 2026-02-17 21:46:01 [INFO] [ERROR] in the message
none     | the job said ERROR: and 2026-02-19 01:33:50,123 | ERROR | inside
none     | [PATH1B] ERROR
none     | ERRORS are counted elsewhere
none     | 2026-02-19 01:33:50,123 | ERRORS | no such level
info     | {"msg": "\\"level\\": \\"ERROR\\", x", "level": "INFO"}
info     | {"ts": "2026-02-14T13:10:07Z", "level": "INFO", "msg": "x", "extra": {"level": "ERROR"}}
info     | {"extra": {"level": "ERROR", "a": [{"level": "ERROR"}]}, "level": "INFO"}
info     | {"msg": "{\\"level\\":\\"ERROR\\"}", "severity": "info"}
none     | {"msg": "level ERROR", "extra": {"level": "ERROR"}}
"""

WORDS = """
critical | FATAL SEVERE CRITICAL CRIT ALERT EMERG EMERGENCY PANIC fatal Critical
error    | ERROR ERR error Error
warning  | WARN WARNING warn
notice   | NOTICE
info     | INFO INFORMATION SUCCESS info
debug    | DEBUG debug FINE
trace    | TRACE trace FINEST
"""

NUMBERS = """
info     | {"level": 20, "msg": "python"}
error    | {"levelno": 40, "msg": "python"}
critical | {"level": 50, "msg": "python"}
info     | {"level":30,"time":1531171074631,"msg":"pino"}
error    | {"name":"app","hostname":"h","pid":1,"level":50,"msg":"bunyan","v":0}
critical | {"level":60,"msg":"pino alone goes to 60"}
error    | {"level": 3, "msg": "syslog"}
warning  | {"PRIORITY": "4", "MESSAGE": "journald"}
critical | {"lvl": 0, "msg": "emergency"}
none     | {"level": null, "msg": "x"}
error    | {"log.level": "error", "message": "ecs"}
error    | {"@timestamp": "x", "log": {"level": "error", "logger": "ecs"}}
error    | {"a": {"b": {"c": 1}}, "log": {"logger": "x", "level": "error"}}
error    | {"Level": "Error", "MessageTemplate": "serilog"}
critical | {"@t": "2026-02-19", "@l": "Fatal", "@m": "serilog"}
warning  | {"severityText": "WARN", "body": "opentelemetry"}
error    | {"LogLevel": "Error", "Category": ".NET"}
error    | {"level": "\\u001b[31merror\\u001b[39m", "message": "winston in colours"}
info     | {"a": {"level": {"level": "ERROR"}}, "level": "INFO"}
error    | {"level": null, "severity": "ERROR"}
"""


def cases(table: str) -> list[tuple[str, str]]:
    """Split `level | line` rows."""
    rows = (row.partition("|") for row in table.strip("\n").splitlines())
    return [(level.strip(), line.removeprefix(" ")) for level, _, line in rows]


@pytest.mark.parametrize(
    ("level", "line"), cases(LEVELS + PROGRAMS[1:] + AROUND[1:] + TRAPS[1:] + NUMBERS[1:])
)
def test_level_of_a_line(level: str, line: str) -> None:
    """Only the level's own place in a line says its level."""
    drawn = line.replace("\\t", "\t").replace("\\ufeff", "\ufeff")
    assert level == classify(drawn.encode())


@pytest.mark.parametrize(("level", "words"), cases(WORDS))
def test_words_for_a_level(level: str, words: str) -> None:
    """Every program's word for it is the same level."""
    said = {word: classify(f"2026-02-19 01:33:50 [{word}] x".encode()) for word in words.split()}
    assert dict.fromkeys(words.split(), level) == said


@pytest.mark.parametrize(
    "dressed",
    [
        b"\x00\x00\x00[ERROR] x",
        b"\xef\xbb\xbf[ERROR] x",
        b"\x1b[31m[ERROR]\x1b[0m x",
        b"[ERROR] x\r",
        b"[ERROR] \xff\xfe\x00\x80",
        "[ERROR] â\x9d\x8c".encode("latin-1"),
    ],
    ids=["after a truncation", "byte order mark", "colours", "CRLF", "binary", "mojibake"],
)
def test_dress_does_not_hide_a_level(dressed: bytes) -> None:
    """What surrounds a line is not part of it."""
    assert classify(dressed) is Level.ERROR


AMBIGUOUS = """
dash-level | info  | 2026-02-19 01:33:50 - INFO - ERROR - gave up
dash       | error | 2026-02-19 01:33:50 - INFO - ERROR - gave up
pipe-name  | error | 2026-02-19 01:33:50 | INFO | ERROR | gave up
pipe       | info  | 2026-02-19 01:33:50 | INFO | ERROR | gave up
"""


@pytest.mark.parametrize(("format", "rest"), cases(AMBIGUOUS))
def test_the_format_of_the_file_decides(format: str, rest: str) -> None:
    """A line that two formats understand is read as the rest of its file is."""
    level, line = cases(rest)[0]
    assert level == classify(line.encode(), format)


FILES = """
pipe           | 2026-02-19 01:33:50,123 | INFO     | a | b
pipe           | 2026-02-19 01:33:50 | INFO | b
pipe-name      | 2026-02-19 01:33:50 | a.b | INFO | c
dash           | 2026-02-19 01:33:50,123 - a - INFO - b
dash-level     | 2026-02-19 01:33:50,123 - INFO - b
bracket        | 2026-02-19 01:33:50.1 [INFO] b
brackets       | [2026-02-19 01:33:50,123] [a] [INFO] b
level-first    | [INFO] [TAG] b
json           | {"level": "INFO"}
level-colon    | INFO:a:b
logfmt         | level=info msg=b
syslog         | Feb 19 01:50:25 host systemd[1]: b
pipe           | Feb 19 01:50:25 host unit[1]: 2026-02-19 01:33:50 | INFO | b
cri            | 2026-02-19T01:33:50.123456789Z stderr F b
docker         | {"log":"b\\n","stream":"stderr","time":"2026-02-19T01:33:50.123456789Z"}
word           | {"log":"2026-02-19 01:33:50 INFO b\\n","stream":"stderr","time":"2026-02-19T01:33:50Z"}
json           | {"log":"{\\"level\\":\\"info\\"}\\n","stream":"stderr","time":"2026-02-19T01:33:50Z"}
glog           | I0219 01:33:50.123456 123 file.cc:12] b
logcat         | 02-19 01:33:50.123  123  456 I Tag: b
redis          | 123:M 19 Feb 2026 01:33:50.123 * b
postgresql     | 2026-02-19 01:33:50.123 CET [123] LOG:  b
apache         | [Thu Feb 19 01:33:50.123456 2026] [core:info] [pid 1] b
ruby           | I, [2026-02-19T01:33:50.123456 #123]  INFO -- : b
dotnet         | info: Acme.Gate[0]
celery         | [2026-02-19 01:33:50,123: INFO/MainProcess] b
clock          | 01:33:50.123 [main] INFO c.f.Bar - b
bare           | b
"""


@pytest.mark.parametrize(("format", "line"), cases(FILES))
def test_detection(format: str, line: str) -> None:
    """A format is recognised among banners and tracebacks."""
    sample = [b"====", *[line.encode()] * 5, b"Traceback (most recent call last):", b"  File"]
    assert format == detect(sample)
    assert format in FORMATS


def test_one_odd_line_does_not_change_the_format() -> None:
    """A file keeps the format that still recognises its lines."""
    odd = b"2026-02-19 01:33:50 - INFO - ERROR - gave up"
    assert detect([odd]) == "dash"
    assert detect([odd], current="dash-level") == "dash-level"
    assert detect([b"=====", b"text"], current="pipe") == "pipe"
    assert detect([b"[INFO] [A] x"] * 9, current="pipe") == "level-first"
