-- The objects of a type that were viewed, by one user or by anybody, each of them once.
--
-- A page ends at the place of an object, its last view and then its id: one that is viewed meanwhile goes to the
-- first page, and never comes twice.
--
-- Parameters  object_type; user_id, service ('' for all); since, until DateTime64(9, 'UTC'), half open;
--             before_ns Int64 nanoseconds since the epoch and before_id, an object id; limit
-- Columns     last_viewed_ns: nanoseconds since the epoch
-- Order       last view descending, then object id
SELECT
    events.object_id                             AS object_id,
    toUnixTimestamp64Nano(max(events.timestamp)) AS last_viewed_ns,
    count()                                      AS views
FROM events
WHERE events.event_name = 'object_viewed' AND events.object_type = {object_type:String}
    AND ({user_id:String} = '' OR events.user_id = {user_id:String})
    AND ({service:String} = '' OR events.service_name = {service:String})
    AND events.timestamp >= {since:DateTime64(9, 'UTC')} AND events.timestamp < {until:DateTime64(9, 'UTC')}
GROUP BY object_id
HAVING (last_viewed_ns, object_id) < ({before_ns:Int64}, {before_id:String})
ORDER BY last_viewed_ns DESC, object_id DESC
LIMIT {limit:UInt32}
