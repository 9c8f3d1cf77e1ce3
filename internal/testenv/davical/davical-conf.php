<?php
$c->pg_connect[] = "dbname=davical user=davical_app host={{.Socket}}";
$c->admin_email = 'admin@example.net';
$c->enable_auto_schedule = false;
