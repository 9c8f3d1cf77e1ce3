insert into usr(active, email_ok, username, password, fullname, email)
  values (true, current_date, :'name', '**' || :'password', initcap(:'name'), :'name' || '@example.net');
insert into principal(type_id, user_no, displayname, default_privileges)
  select 1, user_no, fullname, privilege_to_bits(array['read-free-busy', 'schedule-deliver'])
  from usr where username = :'name';
