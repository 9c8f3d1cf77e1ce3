<?php
// A CalDAV server of sabre/dav 1.8 over a SQLite database beside this file: a router for `php -S`.
error_reporting(E_ALL & ~E_DEPRECATED & ~E_NOTICE & ~E_WARNING);
ini_set('display_errors', '0');
date_default_timezone_set('UTC');
if (strtolower(rtrim($_SERVER['REQUEST_URI'], '/')) == '/.well-known/caldav') {
    header('Location: /', true, 301);
    return true;
}
require_once 'Sabre/autoload.php';
$pdo = new PDO('sqlite:' . __DIR__ . '/db.sqlite');
$pdo->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
$pdo->exec('PRAGMA busy_timeout=5000');

class Auth extends \Sabre\DAV\Auth\Backend\AbstractBasic
{
    private $pdo;
    public function __construct($pdo) { $this->pdo = $pdo; }
    protected function validateUserPass($name, $password)
    {
        $q = $this->pdo->prepare('SELECT 1 FROM users WHERE username = ? AND password = ?');
        $q->execute(array($name, $password));
        return (bool) $q->fetch();
    }
}

$calendars = new \Sabre\CalDAV\Backend\PDO($pdo);
$principals = new \Sabre\DAVACL\PrincipalBackend\PDO($pdo);
$server = new \Sabre\DAV\Server(array(
    new \Sabre\CalDAV\Principal\Collection($principals),
    new \Sabre\CalDAV\CalendarRootNode($principals, $calendars),
));
$server->setBaseUri('/');
$server->addPlugin(new \Sabre\DAV\Auth\Plugin(new Auth($pdo), 'calcdc-test'));
$server->addPlugin(new \Sabre\DAVACL\Plugin());
$server->addPlugin(new \Sabre\CalDAV\Plugin());
$server->exec();
return true;
