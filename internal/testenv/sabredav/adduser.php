<?php
// adduser.php NAME PASSWORD: makes the database where there is none, and a user with an empty home.
list(, $name, $password) = $argv;
$pdo = new PDO('sqlite:' . __DIR__ . '/db.sqlite');
$pdo->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
$pdo->exec('PRAGMA busy_timeout=5000');
$pdo->exec('PRAGMA journal_mode=WAL');
if (!$pdo->query("SELECT 1 FROM sqlite_master WHERE name = 'users'")->fetch()) {
    $pdo->exec(<<<'SQL'
CREATE TABLE users (id integer PRIMARY KEY, username TEXT UNIQUE, password TEXT);
CREATE TABLE principals (id INTEGER PRIMARY KEY ASC, uri TEXT, email TEXT, displayname TEXT, vcardurl TEXT, UNIQUE(uri));
CREATE TABLE groupmembers (id INTEGER PRIMARY KEY ASC, principal_id INTEGER, member_id INTEGER, UNIQUE(principal_id, member_id));
CREATE TABLE calendars (id integer primary key asc, principaluri text, displayname text, uri text, ctag integer,
    description text, calendarorder integer, calendarcolor text, timezone text, components text, transparent bool);
CREATE TABLE calendarobjects (id integer primary key asc, calendardata blob, uri text, calendarid integer,
    lastmodified integer, etag text, size integer, componenttype text, firstoccurence integer, lastoccurence integer);
SQL
    );
}
$pdo->prepare('INSERT INTO users(username, password) VALUES(?, ?)')->execute(array($name, $password));
foreach (array('', '/calendar-proxy-read', '/calendar-proxy-write') as $suffix) {
    $pdo->prepare('INSERT INTO principals(uri, email, displayname) VALUES(?, ?, ?)')->execute(array(
        "principals/$name$suffix", $suffix ? null : "$name@example.net", $suffix ? null : ucfirst($name)));
}
