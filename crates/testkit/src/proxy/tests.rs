//! Each mode does what it says, and only that. Nothing here measures time: what must not pass is followed by what must.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

/// A service that tells what it is asked, and answers the same.
struct Echo {
    address: String,
    asked: mpsc::UnboundedReceiver<String>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (tell, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    let mut buffer = [0; 1024];
                    while let Ok(length @ 1..) = client.read(&mut buffer).await {
                        let _ = tell.send(String::from_utf8_lossy(&buffer[..length]).into_owned());
                        if client.write_all(&buffer[..length]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, asked }
    }

    async fn asked(&mut self) -> String {
        tokio::time::timeout(DEADLINE, self.asked.recv()).await.expect("nothing was asked").unwrap()
    }
}

async fn client(proxy: &Proxy) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap()
}

async fn ask(client: &mut TcpStream, text: &str) {
    // A connection that is being closed may refuse this already.
    let _ = client.write_all(text.as_bytes()).await;
}

/// What is answered; empty when the connection is closed.
async fn answer(client: &mut TcpStream) -> String {
    let mut buffer = [0; 1024];
    let reading = tokio::time::timeout(DEADLINE, client.read(&mut buffer));
    let length = reading.await.expect("no answer").unwrap_or(0);
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[tokio::test]
async fn bytes_pass_until_connections_are_cut() {
    let echo = Echo::start().await;
    let proxy = Proxy::to(&echo.address).await.unwrap();
    let mut open = client(&proxy).await;
    ask(&mut open, "one").await;
    assert_eq!(answer(&mut open).await, "one");
    proxy.cut();
    assert_eq!(answer(&mut open).await, "");
    let mut new = client(&proxy).await;
    ask(&mut new, "two").await;
    assert_eq!(answer(&mut new).await, "two", "only those that were open are cut");
    proxy.set(Mode::Cut);
    assert_eq!(answer(&mut new).await, "");
    let mut refused = client(&proxy).await;
    ask(&mut refused, "three").await;
    assert_eq!((answer(&mut refused).await.as_str(), proxy.refused()), ("", 1));
    let port = proxy.stop().await;
    let proxy = Proxy::on(port, &echo.address).await.unwrap();
    let mut again = client(&proxy).await;
    ask(&mut again, "four").await;
    assert_eq!(answer(&mut again).await, "four");
}

#[tokio::test]
async fn a_half_open_connection_is_silent_and_goes_on_where_it_was() {
    let mut echo = Echo::start().await;
    let proxy = Proxy::to(&echo.address).await.unwrap();
    proxy.set(Mode::HalfOpen);
    let mut open = client(&proxy).await;
    ask(&mut open, "early ").await;
    // Straight to the service: had the first passed, it would have been asked before.
    let mut direct = TcpStream::connect(&echo.address).await.unwrap();
    ask(&mut direct, "direct").await;
    assert_eq!((echo.asked().await.as_str(), answer(&mut direct).await.as_str()), ("direct", "direct"));
    assert!(echo.asked.try_recv().is_err());
    proxy.set(Mode::Pass);
    assert_eq!(answer(&mut open).await, "early ");
}

#[tokio::test]
async fn a_stalled_connection_stays_silent_while_new_ones_are_served() {
    let mut echo = Echo::start().await;
    let proxy = Proxy::to(&echo.address).await.unwrap();
    let mut stalled = client(&proxy).await;
    ask(&mut stalled, "one").await;
    assert_eq!((echo.asked().await.as_str(), answer(&mut stalled).await.as_str()), ("one", "one"));
    proxy.stall();
    ask(&mut stalled, "two").await;
    let mut new = client(&proxy).await;
    ask(&mut new, "three").await;
    assert_eq!((echo.asked().await.as_str(), answer(&mut new).await.as_str()), ("three", "three"));
    proxy.cut();
    assert_eq!(answer(&mut stalled).await, "");
}

#[tokio::test]
async fn a_dropped_response_was_asked_for_all_the_same() {
    let mut echo = Echo::start().await;
    let proxy = Proxy::to(&echo.address).await.unwrap();
    let mut open = client(&proxy).await;
    ask(&mut open, "one").await;
    assert_eq!((echo.asked().await.as_str(), answer(&mut open).await.as_str()), ("one", "one"));
    proxy.set(Mode::DropResponse);
    ask(&mut open, "two").await;
    assert_eq!((echo.asked().await.as_str(), answer(&mut open).await.as_str()), ("two", ""));
}

#[tokio::test]
async fn a_delay_holds_each_piece_back() {
    const DELAY: Duration = Duration::from_millis(30);
    let echo = Echo::start().await;
    let proxy = Proxy::to(&echo.address).await.unwrap();
    proxy.set(Mode::Delay(DELAY));
    let mut open = client(&proxy).await;
    let began = Instant::now();
    ask(&mut open, "one").await;
    assert_eq!(answer(&mut open).await, "one");
    assert!(began.elapsed() >= 2 * DELAY, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_long_answer_is_cut_once() {
    let echo = Echo::start().await;
    let proxy = Proxy::to(&echo.address).await.unwrap();
    proxy.set(Mode::CutAnswerOnce { after_bytes: 5 });
    let mut open = client(&proxy).await;
    ask(&mut open, "short").await;
    assert_eq!(answer(&mut open).await, "short");
    ask(&mut open, "!").await;
    assert_eq!((answer(&mut open).await.as_str(), proxy.mode()), ("", Mode::Pass));
    let mut again = client(&proxy).await;
    ask(&mut again, "long enough").await;
    assert_eq!(answer(&mut again).await, "long enough");
}

#[test]
fn only_host_and_port_of_a_url_are_replaced() {
    assert_eq!(authority("postgres://u:p@h:5/old?sslmode=disable"), Some("h:5"));
    assert_eq!(authority("amqp://guest:guest@127.0.0.1:5672/%2f"), Some("127.0.0.1:5672"));
    assert_eq!(authority("http://127.0.0.1:8123"), Some("127.0.0.1:8123"));
    assert_eq!(authority("http://clickhouse"), None);
}
