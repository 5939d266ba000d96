//! Prints the countries of the addresses on standard input, one in each line.

use std::{error::Error, io::BufRead, net::IpAddr};

use maxminddb::{Reader, geoip2::City};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: lookup DATABASE")?;
    // SAFETY: nobody is expected to change the database.
    let reader = unsafe { Reader::open_mmap(path)? };
    for line in std::io::stdin().lock().lines() {
        let address: IpAddr = line?.parse()?;
        let found = reader.lookup(address).and_then(|result| result.decode());
        let city: Option<City> = found?;
        println!("{address}: {:?}", city.and_then(|city| city.country.iso_code));
    }
    Ok(())
}
