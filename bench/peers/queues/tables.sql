-- Tables of the same shape as the product's, with the same records in them, for those who do the same by jobs of their own.
DROP SCHEMA IF EXISTS peers CASCADE;
CREATE SCHEMA peers;
CREATE TABLE peers.record (LIKE public.record INCLUDING ALL) WITH (fillfactor = 80);
CREATE TABLE peers.property_value (LIKE public.property_value INCLUDING ALL);
CREATE TABLE peers.property_history (LIKE public.property_history INCLUDING ALL);
CREATE TABLE peers.association (LIKE public.association INCLUDING ALL);
CREATE TABLE peers.association_count (LIKE public.association_count INCLUDING ALL) WITH (fillfactor = 80);
CREATE TABLE peers.enrollment (LIKE public.enrollment INCLUDING ALL) WITH (fillfactor = 80);
CREATE TABLE peers.enrollment_step (LIKE public.enrollment_step INCLUDING ALL);
CREATE TABLE peers.event_log (LIKE public.event_log INCLUDING ALL);
-- Numbers without the order of commits: nobody waits for anybody.
CREATE SEQUENCE peers.event_seq CACHE 100;
INSERT INTO peers.record SELECT * FROM public.record;
INSERT INTO peers.property_value SELECT * FROM public.property_value;
INSERT INTO peers.association SELECT * FROM public.association;
INSERT INTO peers.association_count SELECT * FROM public.association_count;
ANALYZE peers.record;
ANALYZE peers.property_value;
ANALYZE peers.association;
ANALYZE peers.association_count;
