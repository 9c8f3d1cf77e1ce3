delete from sync_changes where collection_id = (select collection_id from collection where dav_name = :'name');
delete from sync_tokens where collection_id = (select collection_id from collection where dav_name = :'name');
