//! Real HTTP servers on loopback, each on its own thread.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

use crate::Outcome;

/// Number of requests that the servers of `start` have answered.
pub static ANSWERED: AtomicU64 = AtomicU64::new(0);

/// How a server treats its requests.
#[derive(Clone)]
enum Behaviour {
    Answer,
    Note(Sender<(i64, Instant)>),
    Hang,
    Fail,
}

/// Starts a server that responds to every request immediately with 204.
pub fn start() -> Outcome<String> {
    serve(Behaviour::Answer)
}

/// Starts a server that sends each message's id and arrival time to the returned channel.
pub fn note_arrivals() -> Outcome<(String, Receiver<(i64, Instant)>)> {
    let (sender, arrivals) = channel();
    Ok((serve(Behaviour::Note(sender))?, arrivals))
}

/// Starts a server that never responds.
pub fn hang() -> Outcome<String> {
    serve(Behaviour::Hang)
}

/// Starts a server that responds with 500.
pub fn fail() -> Outcome<String> {
    serve(Behaviour::Fail)
}

fn serve(behaviour: Behaviour) -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/hooks", listener.local_addr()?);
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let app = move || {
                App::new().app_data(web::Data::new(behaviour.clone())).default_service(web::to(answer))
            };
            if let Ok(server) = HttpServer::new(app).workers(1).listen(listener) {
                let _ = server.disable_signals().run().await;
            }
        });
    });
    Ok(url)
}

async fn answer(behaviour: web::Data<Behaviour>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    drop(body);
    match &**behaviour {
        Behaviour::Answer => {
            ANSWERED.fetch_add(1, Ordering::Relaxed);
        }
        Behaviour::Note(sender) => {
            let id = request.headers().get("webhook-id").and_then(|id| id.to_str().ok());
            let id = id.and_then(|id| id.rsplit('_').next()?.parse().ok());
            let _ = sender.send((id.unwrap_or_default(), Instant::now()));
        }
        Behaviour::Hang => tokio::time::sleep(Duration::from_secs(3_600)).await,
        Behaviour::Fail => return HttpResponse::InternalServerError().finish(),
    }
    HttpResponse::NoContent().finish()
}
