PRAGMA application_id = 0;
PRAGMA user_version = 1;
CREATE TABLE memory (
  service TEXT NOT NULL, kind TEXT NOT NULL, labels TEXT NOT NULL, json TEXT NOT NULL,
  PRIMARY KEY (service, kind, labels)
) WITHOUT ROWID;
INSERT INTO "memory" VALUES('alive','heartbeat','{"key":"beat:alive"}','{"last_beat":"2026-11-23T06:00:34+00:00"}');
INSERT INTO "memory" VALUES('billing','flag','{"key":"kill"}','{"exact":false,"since":"2026-11-23T06:00:37.541266+00:00"}');
