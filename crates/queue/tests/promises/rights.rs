//! Rights are asked for without leaving anything behind.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex};

use lockstep_core::secret::SecretUrl;
use lockstep_queue::{MissingRight, QueueError, depths, missing_rights};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::broker::{Broker, as_it_is, batch, url, within};

/// A method of the protocol: its class, and its number there.
type Method = (u16, u16);
const DECLARE: Method = (50, 10);
const CONSUME: Method = (60, 20);
const PUBLISH: Method = (60, 40);
const CLOSE: Method = (20, 40);
const CLOSE_OK: Method = (20, 41);

/// One frame, as it goes over the wire.
struct Frame(Vec<u8>);

impl Frame {
    async fn read(from: &mut OwnedReadHalf) -> io::Result<Self> {
        let mut frame = vec![0; 7];
        from.read_exact(&mut frame).await?;
        let size = u32::from_be_bytes([frame[3], frame[4], frame[5], frame[6]]) as usize;
        frame.resize(7 + size + 1, 0);
        from.read_exact(&mut frame[7..]).await?;
        Ok(Self(frame))
    }

    fn channel(&self) -> u16 {
        u16::from_be_bytes([self.0[1], self.0[2]])
    }

    fn method(&self) -> Option<Method> {
        let number = |at: usize| u16::from_be_bytes([self.0[at], self.0[at + 1]]);
        (self.0[0] == 1).then(|| (number(7), number(9)))
    }

    /// The broker's `ACCESS_REFUSED`, or whoever's.
    fn close(channel: u16) -> Self {
        let mut frame = vec![1];
        frame.extend(channel.to_be_bytes());
        frame.extend(14_u32.to_be_bytes());
        for number in [CLOSE.0, CLOSE.1, 403] {
            frame.extend(number.to_be_bytes());
        }
        frame.extend(b"\x03own\0\0\0\0\xce");
        Self(frame)
    }
}

/// A broker that refuses a method on any channel, and is the shared one for the rest.
async fn broker_that_refuses(method: Option<Method>) -> SecretUrl {
    let shared = url();
    let (head, rest) = shared.expose().split_once('@').unwrap();
    let (address, path) = rest.split_once('/').unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = format!("{head}@{}/{path}", listener.local_addr().unwrap());
    let address = address.to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let broker = TcpStream::connect(&address).await.unwrap();
            let ((from_client, to_client), (from_broker, to_broker)) = (client.into_split(), broker.into_split());
            let (to_client, refused) = (Arc::new(tokio::sync::Mutex::new(to_client)), Arc::default());
            tokio::spawn(answers(from_broker, Arc::clone(&to_client), Arc::clone(&refused)));
            tokio::spawn(questions(from_client, to_broker, to_client, refused, method));
        }
    });
    SecretUrl::new(through)
}

type ToClient = Arc<tokio::sync::Mutex<OwnedWriteHalf>>;
/// Channels that the client has to take for closed.
type Refused = Arc<Mutex<HashSet<u16>>>;

async fn questions(
    mut client: OwnedReadHalf,
    mut broker: OwnedWriteHalf,
    to_client: ToClient,
    refused: Refused,
    method: Option<Method>,
) -> io::Result<()> {
    let mut greeting = [0; 8];
    client.read_exact(&mut greeting).await?;
    broker.write_all(&greeting).await?;
    loop {
        let frame = Frame::read(&mut client).await?;
        let (channel, asked) = (frame.channel(), frame.method());
        if asked.is_some() && asked == method {
            refused.lock().unwrap().insert(channel);
            to_client.lock().await.write_all(&Frame::close(channel).0).await?;
        } else if !refused.lock().unwrap().contains(&channel) {
            broker.write_all(&frame.0).await?;
        } else if asked == Some(CLOSE_OK) {
            broker.write_all(&Frame::close(channel).0).await?;
        }
    }
}

async fn answers(mut broker: OwnedReadHalf, to_client: ToClient, refused: Refused) -> io::Result<()> {
    loop {
        let frame = Frame::read(&mut broker).await?;
        let is_ours = frame.method() == Some(CLOSE_OK) && refused.lock().unwrap().remove(&frame.channel());
        if !is_ours {
            to_client.lock().await.write_all(&frame.0).await?;
        }
    }
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_and_asking_leaves_nothing_behind() {
    Broker::run(as_it_is, |broker| async move {
        let topology = &broker.topology;
        let missing = async |refused: Option<Method>| {
            let url = broker_that_refuses(refused).await;
            within("an answer about rights", missing_rights(&url, None, topology)).await.unwrap()
        };
        let mut named = vec![topology.main_queue()];
        named.extend(topology.retry_queues());
        let read: Vec<_> = named.iter().cloned().map(MissingRight::Read).collect();
        named.insert(0, topology.dead_queue());
        let configure: Vec<_> = named.into_iter().map(MissingRight::Configure).collect();
        for are_there in [false, true] {
            if are_there {
                broker.publisher().await.publish(&[batch(1)]).await.unwrap();
            }
            assert_eq!(missing(None).await, []);
            assert_eq!(missing(Some(PUBLISH)).await, [MissingRight::Write]);
            assert_eq!(missing(Some(CONSUME)).await, read);
            assert_eq!(missing(Some(DECLARE)).await, configure);
            match depths(&url(), None, topology).await {
                Ok(depths) => {
                    assert!(are_there && (depths.ready, depths.retrying, depths.dead) == (1, 0, 0), "{depths:?}")
                }
                Err(error) => assert!(!are_there && matches!(error, QueueError::NoQueue { .. }), "{error}"),
            }
        }
    })
    .await;
}
