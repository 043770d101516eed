//! Ends deliveries without an attempt.

use crate::store::{Clock, DeliveryId, DeliveryQueue, DiscardRequest, Unavailable};

/// Ends the deliveries. Returns the number of deliveries with damaged rows, which stay pending and
/// must be skipped by the lane.
///
/// # Errors
/// The store is unavailable for writes.
pub async fn end(
    store: &DeliveryQueue,
    deliveries: Vec<DeliveryId>,
    why: &str,
    clock: Clock,
) -> Result<usize, Unavailable> {
    match store.discard_deliveries(request(deliveries.clone(), why), clock()).await {
        Err(Unavailable::Damaged) => {}
        ended => return ended.map(|()| 0),
    }
    let mut damaged = 0;
    for delivery in deliveries {
        match store.discard_deliveries(request(vec![delivery], why), clock()).await {
            Err(Unavailable::Damaged) => {
                log::error!("delivery={delivery}: its row is damaged, and it stays pending");
                damaged += 1;
            }
            ended => ended?,
        }
    }
    Ok(damaged)
}

fn request(deliveries: Vec<DeliveryId>, why: &str) -> DiscardRequest {
    DiscardRequest { deliveries, inactive_since: None, why: why.to_owned() }
}
