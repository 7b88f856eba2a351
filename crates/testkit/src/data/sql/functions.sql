-- Everything is drawn from counters: the same seed gives the same rows, in any order, without looking at other tables.

-- The id of the n-th thing of a kind.
CREATE OR REPLACE FUNCTION pg_temp.seed_id(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN md5(kind || ':{seed}:' || n::text)::uuid;

-- A number from 0 to below `below`. The salt keeps the columns of one row independent of each other.
CREATE OR REPLACE FUNCTION pg_temp.seed_pick(n bigint, salt bigint, below bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
    RETURN abs(hashint8extended(n, {seed} * 1000 + salt) % below);

-- True for about `percent` of all n.
CREATE OR REPLACE FUNCTION pg_temp.seed_chance(n bigint, salt bigint, percent bigint) RETURNS boolean LANGUAGE sql IMMUTABLE
    RETURN abs(hashint8extended(n, {seed} * 1000 + salt) % 100) < percent;

-- A moment of 2024 or 2025, to the millisecond.
CREATE OR REPLACE FUNCTION pg_temp.seed_moment(n bigint, salt bigint) RETURNS timestamp LANGUAGE sql IMMUTABLE
    RETURN timestamp '2024-01-01' + abs(hashint8extended(n, {seed} * 1000 + salt) % 63072000000) * interval '1 millisecond';

CREATE OR REPLACE FUNCTION pg_temp.seed_first_name(n bigint) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN (ARRAY['Ada', 'Bruno', 'Chloé', 'Dmitri', 'Elif', 'Fatima', 'Gáspár', 'Hana', 'Ines', 'Jürgen', 'Kwame', 'Łukasz',
        'Mei', 'Nour', 'Oğuz', 'Priya', 'Quinn', 'Ruth', 'Søren', 'Thảo', 'Uma', 'Víctor', 'Wanjiru', 'Олена', 'ياسمين', '美咲',
        '지우', 'Zoë'])[1 + pg_temp.seed_pick(n, 1, 28)];

CREATE OR REPLACE FUNCTION pg_temp.seed_last_name(n bigint) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN (ARRAY['Almeida', 'Bach', 'Çelik', 'Dubois', 'Eriksen', 'Ferrari', 'García', 'Haddad', 'Ivanova', 'Jansen', 'Kovács',
        'Lindqvist', 'Müller', 'Nguyễn', 'O''Brien', 'Papadopoulos', 'Quispe', 'Rossi', 'Silva', 'Tanaka', 'Ueda', 'Van den Berg',
        'Wójcik', 'Xu', 'Yılmaz', 'Zhang-Meyer'])[1 + pg_temp.seed_pick(n, 2, 26)];

-- What applications keep about users and teams: for `percent` of all n an object, else nothing, an empty object or JSON null.
CREATE OR REPLACE FUNCTION pg_temp.seed_metadata(n bigint, salt bigint, percent bigint) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN CASE
        WHEN pg_temp.seed_chance(n, salt, percent) THEN (
            '{"plan": "' || (ARRAY['free', 'team', 'größer 🚀", "note": "say \"hi\"\n'])[1 + pg_temp.seed_pick(n, salt + 1, 3)]
            || '", "tags": ["beta", null, "日本"], "región": {"seats": ' || pg_temp.seed_pick(n, salt + 2, 5000)::text || '.50}}'
        )::jsonb
        ELSE (ARRAY[NULL, NULL, NULL, '{}', 'null']::jsonb[])[1 + pg_temp.seed_pick(n, salt + 3, 5)]
    END;

-- The k-th team (0 or 1) of the n-th user: the number of the team, or NULL. Three users of four are in a team, some in two.
CREATE OR REPLACE FUNCTION pg_temp.seed_team(n bigint, k integer) RETURNS bigint LANGUAGE sql IMMUTABLE
    RETURN CASE
        WHEN NOT pg_temp.seed_chance(n, 4, 75) THEN NULL
        WHEN k = 0 THEN n / {rows} * {teams} + pg_temp.seed_pick(n, 5, {teams})
        WHEN pg_temp.seed_chance(n, 6, 20) AND pg_temp.seed_pick(n, 7, {teams}) <> pg_temp.seed_pick(n, 5, {teams})
            THEN n / {rows} * {teams} + pg_temp.seed_pick(n, 7, {teams})
    END;

-- The k-th e-mail address of the n-th user.
CREATE OR REPLACE FUNCTION pg_temp.seed_email(n bigint, k integer) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN (ARRAY['ada', 'bruno', 'chloé', 'dmitri.k', 'elif+news', 'Fatima', 'o''brien'])[1 + pg_temp.seed_pick(n, 8 + k, 7)]
        || '.' || (n * 4 + k)::text || '@example.com';
