//! A real HTTP server on loopback, on a thread of its own.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::{App, HttpResponse, HttpServer, web};

use crate::Outcome;

/// Requests that were answered.
pub static ANSWERED: AtomicU64 = AtomicU64::new(0);

/// Answers everything at once with 204.
pub fn start() -> Outcome<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let app = || App::new().default_service(web::to(answer));
            let server = HttpServer::new(app).workers(1).listen(listener);
            if let Ok(server) = server {
                let _ = server.disable_signals().run().await;
            }
        });
    });
    Ok(address)
}

async fn answer(body: web::Bytes) -> HttpResponse {
    drop(body);
    ANSWERED.fetch_add(1, Ordering::Relaxed);
    HttpResponse::NoContent().finish()
}
