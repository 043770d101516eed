//! The load generator: one thread, one epoll, prebuilt requests; one write and one read for each
//! request. It shares the processors with the server under test, so all possible work is done in
//! advance.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use crate::Outcome;
use crate::payload::{BodySize, DeliveryIds, Request};

/// Concurrent connections of most runs.
pub const CONNECTIONS: usize = 64;
const MAX_CONNECTIONS: usize = 256;
const TIMER: u64 = u64::MAX;
/// Time without any reply after which a run fails.
const SILENCE: Duration = Duration::from_secs(10);
const MICROSECONDS_OF_A_MINUTE: u64 = 60_000_000;

/// End of a closed loop.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    Elapsed(Duration),
    /// Number of acknowledged messages since this client was created.
    Acknowledged(u64),
}

/// Results of a measurement.
#[derive(Debug)]
pub struct Tally {
    pub acknowledged: u64,
    /// Replies other than 2xx.
    pub rejected: u64,
    pub elapsed: Duration,
    /// Microseconds from the intended time of sending to the complete reply.
    pub latency: Histogram<u64>,
}

impl Tally {
    fn new() -> Outcome<Self> {
        let latency = Histogram::new_with_bounds(1, MICROSECONDS_OF_A_MINUTE, 3)?;
        Ok(Self { acknowledged: 0, rejected: 0, elapsed: Duration::ZERO, latency })
    }

    /// Acknowledged messages per second.
    pub fn rate(&self) -> f64 {
        self.acknowledged as f64 / self.elapsed.as_secs_f64()
    }

    fn count(&mut self, status: Status, latency: Duration) {
        match status {
            Status::Acknowledged => self.acknowledged += 1,
            Status::Rejected => self.rejected += 1,
        }
        self.latency
            .saturating_record(u64::try_from(latency.as_micros()).unwrap_or(MICROSECONDS_OF_A_MINUTE).max(1));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Acknowledged,
    Rejected,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    request: Request,
    reply: [u8; 2048],
    received: usize,
    /// Time at which the request was, or should have been, sent.
    intended: Instant,
}

impl Connection {
    fn send(&mut self, ids: &mut DeliveryIds, intended: Instant) -> Outcome<()> {
        self.request.renew(ids);
        self.intended = intended;
        // The last reply has arrived, so the send buffer is empty and takes a request of some
        // kilobytes as a whole.
        let sent = self.stream.write(&self.request.bytes)?;
        if sent != self.request.bytes.len() {
            return Err("the socket accepted only a part of a request: its send buffer is too small".into());
        }
        Ok(())
    }

    /// Returns the status when the reply is complete.
    fn receive(&mut self) -> Outcome<Option<Status>> {
        match self.stream.read(&mut self.reply[self.received..]) {
            Ok(0) => Err("the server closed a connection".into()),
            Ok(count) => {
                self.received += count;
                let status = parse(&self.reply[..self.received])?;
                if status.is_some() {
                    self.received = 0;
                }
                Ok(status)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Parses the subset of HTTP that these servers use: a status line, an optional `content-length`,
/// no chunks.
fn parse(reply: &[u8]) -> Outcome<Option<Status>> {
    let Some(head) = reply.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let mut length = 0;
    for line in reply[..head].split(|byte| *byte == b'\n').skip(1) {
        const NAME: &[u8] = b"content-length:";
        if line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME) {
            length = std::str::from_utf8(&line[NAME.len()..])?.trim().parse()?;
        }
    }
    if reply.len() < head + 4 + length {
        return Ok(None);
    }
    let status = if reply.get(9) == Some(&b'2') { Status::Acknowledged } else { Status::Rejected };
    Ok(Some(status))
}

pub struct Client {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    connections: Vec<Connection>,
    ids: DeliveryIds,
    acknowledged: u64,
    last_reply: Instant,
}

impl Client {
    pub fn connect(server: SocketAddr, size: BodySize) -> Outcome<Self> {
        Self::connect_many(server, size, CONNECTIONS)
    }

    /// Sends to the many sources in random order.
    pub fn connect_to_many_sources(server: SocketAddr, size: BodySize) -> Outcome<Self> {
        Self::open(server, CONNECTIONS, |number| Request::to_many(size, number))
    }

    /// Opens up to 256 connections.
    pub fn connect_many(server: SocketAddr, size: BodySize, count: usize) -> Outcome<Self> {
        Self::open(server, count, |number| Request::new(size, number))
    }

    fn open(server: SocketAddr, count: usize, request: impl Fn(usize) -> Request) -> Outcome<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(count);
        for number in 0..count.min(MAX_CONNECTIONS) {
            let stream = TcpStream::connect(server)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)?;
            let request = request(number);
            connections.push(Connection {
                stream,
                request,
                reply: [0; 2048],
                received: 0,
                intended: Instant::now(),
            });
        }
        let events = Vec::with_capacity(count + 1);
        let ids = DeliveryIds::new()?;
        Ok(Self { epoll, events, connections, ids, acknowledged: 0, last_reply: Instant::now() })
    }

    /// Messages acknowledged since the client was created, including the warm-up.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Sends a request on each connection; `pump` then keeps all of them busy.
    pub fn start(&mut self) -> Outcome<()> {
        let now = Instant::now();
        self.last_reply = now;
        self.connections.iter_mut().try_for_each(|connection| connection.send(&mut self.ids, now))
    }

    /// Runs a closed loop: each reply is immediately followed by the next request. Can be called
    /// repeatedly.
    pub fn pump(&mut self, until: Until) -> Outcome<Tally> {
        let begin = Instant::now();
        let mut tally = Tally::new()?;
        loop {
            for number in self.wait()? {
                if let Some(now) = self.take_reply(number, &mut tally)? {
                    self.connections[number].send(&mut self.ids, now)?;
                }
            }
            tally.elapsed = begin.elapsed();
            let is_over = match until {
                Until::Elapsed(duration) => tally.elapsed >= duration,
                Until::Acknowledged(count) => self.acknowledged >= count,
            };
            if is_over {
                return Ok(tally);
            }
        }
    }

    /// Awaits the outstanding replies.
    pub fn drain(&mut self) -> Outcome<Tally> {
        let mut tally = Tally::new()?;
        let mut outstanding = self.connections.len();
        while outstanding > 0 {
            for number in self.wait()? {
                if self.take_reply(number, &mut tally)?.is_some() {
                    outstanding -= 1;
                }
            }
        }
        Ok(tally)
    }

    /// Runs an open loop: a request is due every `interval`, regardless of earlier ones, and its
    /// latency counts from that time. The wait for a free connection also counts, so the figures
    /// include stalls.
    pub fn open_loop(&mut self, interval: Duration, duration: Duration) -> Outcome<Tally> {
        // Read before the timer starts, so that the n-th request is always due at the n-th tick.
        let begin = Instant::now();
        let timer = self.periodic_timer(interval)?;
        self.last_reply = begin;
        let total = u32::try_from(duration.as_nanos() / interval.as_nanos())?;
        let mut tally = Tally::new()?;
        // A queue uses the connections in turn, so that the server closes none of them as idle.
        let mut idle: VecDeque<usize> = (0..self.connections.len()).collect();
        let mut due = VecDeque::new();
        let mut planned = 1;
        while tally.acknowledged + tally.rejected < u64::from(total) {
            for number in self.wait()? {
                if number as u64 == TIMER {
                    rustix::io::read(&timer, &mut [0; 8])?;
                } else if self.take_reply(number, &mut tally)?.is_some() {
                    idle.push_back(number);
                }
            }
            while planned <= total && begin + interval * planned <= Instant::now() {
                due.push_back(begin + interval * planned);
                planned += 1;
            }
            while let (Some(intended), Some(number)) = (due.front().copied(), idle.front().copied()) {
                self.connections[number].send(&mut self.ids, intended)?;
                due.pop_front();
                idle.pop_front();
            }
        }
        tally.elapsed = begin.elapsed();
        epoll::delete(&self.epoll, &timer)?;
        Ok(tally)
    }

    /// Creates a timer. The timeout of epoll is too coarse: it can be late by up to a millisecond,
    /// which would be measured as latency.
    fn periodic_timer(&self, interval: Duration) -> Outcome<OwnedFd> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        let step = Timespec::try_from(interval)?;
        let setting = Itimerspec { it_interval: step, it_value: step };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &setting)?;
        epoll::add(&self.epoll, &timer, epoll::EventData::new_u64(TIMER), epoll::EventFlags::IN)?;
        Ok(timer)
    }

    /// Waits up to 100 ms. Returns the numbers of the ready connections, and `TIMER` if it is due.
    fn wait(&mut self) -> Outcome<Ready> {
        self.events.clear();
        let step = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&step))?;
        if self.last_reply.elapsed() > SILENCE {
            return Err("the server did not reply for ten seconds".into());
        }
        let mut ready = Ready { numbers: [0; MAX_CONNECTIONS + 1], next: 0, count: self.events.len() };
        for (number, event) in ready.numbers.iter_mut().zip(&self.events) {
            *number = event.data.u64() as usize;
        }
        Ok(ready)
    }

    /// Returns the time of the reply when it is complete.
    fn take_reply(&mut self, number: usize, tally: &mut Tally) -> Outcome<Option<Instant>> {
        let connection = &mut self.connections[number];
        let Some(status) = connection.receive()? else { return Ok(None) };
        let now = Instant::now();
        tally.count(status, now - connection.intended);
        self.acknowledged += u64::from(status == Status::Acknowledged);
        self.last_reply = now;
        Ok(Some(now))
    }
}

/// A copy of epoll's events, so that the client can be changed during iteration.
#[derive(Debug)]
struct Ready {
    numbers: [usize; MAX_CONNECTIONS + 1],
    next: usize,
    count: usize,
}

impl Iterator for Ready {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let number = (self.next < self.count).then(|| self.numbers[self.next]);
        self.next += 1;
        number
    }
}
