//! The configuration files of a small private server.

use std::path::Path;

/// Access for this machine alone. Without a password: the library logs in to itself as this user.
pub(super) const USERS: &str = "\
<!-- Written by `cargo xtask up` before every start; changes here are lost. -->
<clickhouse>
    <profiles><default/></profiles>
    <quotas><default/></quotas>
    <users>
        <default>
            <password></password>
            <networks><ip>127.0.0.1</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <access_management>1</access_management>
        </default>
    </users>
</clickhouse>
";

/// The server's settings. Ports and listening addresses count for the program alone; the library takes them as
/// arguments.
pub(super) fn server(home: &Path, ports: &[u16], log: &Path) -> String {
    let home = escaped(home);
    format!(
        "<!-- Written by `cargo xtask up` before every start; changes here are lost. -->
<clickhouse>
    <logger>
        <level>information</level>
        <log>{log}</log>
        <errorlog>{log}</errorlog>
        <size>50M</size>
        <count>1</count>
    </logger>
    <listen_host>127.0.0.1</listen_host>
    <http_port>{http}</http_port>
    <tcp_port>{native}</tcp_port>
    <path>{home}/data/</path>
    <tmp_path>{home}/data/tmp/</tmp_path>
    <user_files_path>{home}/data/user_files/</user_files_path>
    <format_schema_path>{home}/data/format_schemas/</format_schema_path>
    <user_directories>
        <users_xml><path>{home}/users.xml</path></users_xml>
        <local_directory><path>{home}/data/access/</path></local_directory>
    </user_directories>
    <users_config>{home}/users.xml</users_config>
    <default_profile>default</default_profile>
    <default_database>default</default_database>
    <timezone>UTC</timezone>
    <custom_settings_prefixes>SQL_</custom_settings_prefixes>
    <!-- A shared machine: bounded memory, few background threads. -->
    <max_server_memory_usage>3000000000</max_server_memory_usage>
    <mark_cache_size>134217728</mark_cache_size>
    <uncompressed_cache_size>0</uncompressed_cache_size>
    <background_pool_size>4</background_pool_size>
    <background_schedule_pool_size>8</background_schedule_pool_size>
    <background_common_pool_size>2</background_common_pool_size>
    <background_fetches_pool_size>1</background_fetches_pool_size>
    <background_move_pool_size>1</background_move_pool_size>
    <max_concurrent_queries>500</max_concurrent_queries>
    <max_connections>1024</max_connections>
</clickhouse>
",
        log = escaped(log),
        http = ports[0],
        native = ports[1],
    )
}

fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('&', "&amp;").replace('<', "&lt;")
}
