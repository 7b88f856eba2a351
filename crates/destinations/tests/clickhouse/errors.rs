//! What failures become: from real servers, refused connections and silence.

use std::time::{Duration, Instant};

use crate::fixture::{insert_all, settings, url, with_database};
use bytes::Bytes;
use lockstep_destinations::clickhouse::Timeouts;
use lockstep_destinations::{ClickHouse, Failure, Retry};
use secrecy::SecretString;

#[tokio::test]
async fn real_exceptions_are_classified() {
    with_database(|fixture| async move {
        let table = fixture.create_rows_table().await;
        for (sql, code, failure) in [
            (format!("SELECT * FROM {}.absent", fixture.raw), 60, Failure::Misconfigured),
            ("SELECT * FROM absent_database.absent".to_owned(), 81, Failure::Misconfigured),
            (format!("SELECT absent FROM {table}"), 47, Failure::Misconfigured),
            (format!("INSERT INTO {table} (absent) VALUES (1)"), 16, Failure::Misconfigured),
            (
                "SELECT sleepEachRow(0.1) FROM numbers(100) SETTINGS max_execution_time = 1, max_block_size = 1"
                    .to_owned(),
                159,
                Failure::Unavailable,
            ),
            (
                "SELECT uniqExact(number) FROM numbers(10000000) SETTINGS max_memory_usage = 1000000".to_owned(),
                241,
                Failure::Overloaded,
            ),
            ("SELECT throwIf(1)".to_owned(), 395, Failure::Unexpected),
        ] {
            let error = fixture.clickhouse.execute(&sql).await.unwrap_err();
            assert_eq!((error.server_code(), error.failure()), (Some(code), failure), "{error}");
        }
    })
    .await;
}

#[tokio::test]
async fn too_many_parts_means_later() {
    with_database(|fixture| async move {
        let table = format!("{}.crowded", fixture.raw);
        let create = format!(
            "CREATE TABLE {table} (id UInt64) ENGINE = MergeTree ORDER BY id \
             SETTINGS parts_to_throw_insert = 2, parts_to_delay_insert = 2"
        );
        fixture.clickhouse.execute(&create).await.unwrap();
        fixture.clickhouse.execute(&format!("SYSTEM STOP MERGES {table}")).await.unwrap();
        let mut refused = None;
        for id in 0..5_u64 {
            let row = Bytes::copy_from_slice(&id.to_le_bytes());
            let inserted =
                insert_all(&fixture.clickhouse, &format!("INSERT INTO {table} FORMAT RowBinary"), [row]).await;
            refused = refused.or(inserted.err());
        }
        let error = refused.expect("five parts passed where two are allowed");
        assert_eq!(
            (error.server_code(), error.failure(), error.retry()),
            (Some(252), Failure::Overloaded, Retry::Later)
        );
        assert_eq!(error.code(), "LS-0202");
    })
    .await;
}

#[tokio::test]
async fn refused_rows_do_not_show_in_errors() {
    with_database(|fixture| async move {
        let database = &fixture.raw;
        for (create, insert, body) in [
            ("t1 (a UInt8)", "FORMAT TabSeparated", "hunter2\n"),
            ("t2 (a UUID)", "FORMAT TabSeparated", "hunter2hunter2hunter2hunter2hunter2hunter2\n"),
            ("t3 (a Enum8('x' = 1))", "FORMAT TabSeparated", "hunter2\n"),
            ("t4 (a String, CONSTRAINT c CHECK a = 'x')", "FORMAT TabSeparated", "hunter2\n"),
            ("t5 (a DateTime64(3))", "FORMAT JSONEachRow", "{\"a\":\"hunter2\"}\n"),
            ("t6 (a UInt64, b String)", "FORMAT RowBinary", "hunter2hunter2hunter2hunter2"),
        ] {
            fixture.clickhouse.execute(&format!("CREATE TABLE {database}.{create} ENGINE = Memory")).await.unwrap();
            let table = create.split(' ').next().unwrap();
            let statement = format!("INSERT INTO {database}.{table} {insert}");
            let body = Bytes::from_static(body.as_bytes());
            let error = insert_all(&fixture.clickhouse, &statement, [body]).await.expect_err(create);
            println!("{create}: {error}");
            assert_eq!((error.failure(), error.retry()), (Failure::Rejected, Retry::Bisect), "{error}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hunter") && !shown.contains("104"), "{shown}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_refused_connection_means_later() {
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let clickhouse = ClickHouse::connect(&settings(&format!("http://{free}"), "raw"), None).unwrap();
    let error = clickhouse.ping().await.unwrap_err();
    assert_eq!((error.failure(), error.retry()), (Failure::Unavailable, Retry::Later));
    assert!(error.to_string().contains("Connection refused"), "{error}");
    let rows = [Bytes::from_static(b"x")];
    let error = insert_all(&clickhouse, "INSERT INTO t FORMAT RowBinary", rows).await.unwrap_err();
    assert_eq!(error.failure(), Failure::Unavailable, "{error}");
}

#[tokio::test]
async fn a_server_that_is_silent_means_later() {
    // Connections are accepted by the kernel, and nobody reads them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let limit = Duration::from_millis(200);
    let timeouts = Timeouts { statement: limit, stream_idle: limit, insert_send: limit, insert_end: limit };
    let clickhouse = ClickHouse::connect(&settings(&url, "raw"), None).unwrap().with_timeouts(timeouts);
    let started = Instant::now();
    assert_eq!(clickhouse.execute("SELECT 1").await.unwrap_err().failure(), Failure::Unavailable);
    let rows = [Bytes::from_static(b"x")];
    let error = insert_all(&clickhouse, "INSERT INTO t FORMAT RowBinary", rows).await.unwrap_err();
    assert_eq!(error.failure(), Failure::Unavailable);
    // More than the buffers of a connection hold.
    let mut insert = clickhouse.insert("INSERT INTO t FORMAT RowBinary");
    let chunk = Bytes::from(vec![0; 1 << 20]);
    let mut sent = Ok(());
    while sent.is_ok() {
        sent = insert.send(chunk.clone()).await;
    }
    assert_eq!(sent.unwrap_err().failure(), Failure::Unavailable);
    // The crate forgets what went wrong with an insert; ours does not, and never ends one well that has a hole.
    assert!(insert.send(chunk).await.is_err());
    assert!(insert.end().await.is_err());
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_wrong_password_is_for_the_operator() {
    let mut settings = settings(&url(), "raw");
    settings.user = "lockstep_no_such_user".to_owned();
    settings.password = SecretString::from("hunter2");
    let error = ClickHouse::connect(&settings, None).unwrap().ping().await.unwrap_err();
    assert_eq!((error.server_code(), error.retry()), (Some(516), Retry::Operator));
    assert!(error.to_string().contains("lockstep_no_such_user"), "{error}");
    assert!(!error.to_string().contains("hunter2"));
}

#[tokio::test]
async fn something_that_is_not_clickhouse_is_said_to_be_so() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        while let Ok((mut connection, _)) = listener.accept().await {
            let answer =
                b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 20\r\nConnection: close\r\n\r\n<html>hunter2</html>";
            connection.write_all(answer).await.unwrap();
            connection.shutdown().await.unwrap();
        }
    });
    let error = ClickHouse::connect(&settings(&url, "raw"), None).unwrap().ping().await.unwrap_err();
    assert_eq!(error.failure(), Failure::Unavailable);
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
