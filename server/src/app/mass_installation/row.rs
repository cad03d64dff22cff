//! One row of a table of machines: from its cells to a client and its jobs, or to what is wrong with it.

use std::net::Ipv4Addr;

use wire::{ClientId, Mac, Sha256, problem::FieldProblem};

use super::{MassOrder, MassRow, RowWork, known::Known, row_passwords};
use crate::{
    app::{
        Error,
        clients::{self as cases, ClientChange, NewClient},
        installation, layouts,
        passwords::Hashes,
    },
    context::Ctx,
    db::{Tx, clients, groups, jobs},
    domain::{
        client::{Client, ClientConfig, Interface, Ipv4Method, Stage, User},
        sheet::{Column, Row},
    },
    planner,
};

/// Does what a row says; a row that is wrong comes back with its problems, and what it began must not be committed.
#[expect(clippy::too_many_arguments, reason = "the parts of one order that a row needs")]
pub(super) async fn carry_out(
    ctx: &Ctx,
    tx: &mut Tx,
    order: &MassOrder,
    known: &Known,
    row: &Row,
    hashes: Option<Hashes>,
    actor: &str,
    touched: &mut Vec<ClientId>,
) -> Result<MassRow, Error> {
    let cells = row.cells.iter().map(|(column, text)| (column.as_str().to_owned(), text.clone())).collect();
    let mut done = MassRow { line: row.line, cells, ..MassRow::default() };
    let macs = macs(row, &mut done.problems);
    let machine = find(tx, known, row, &macs).await?;
    let config = config(order, known, row, machine.as_ref(), &mut done.problems);
    if let Some(machine) = &machine {
        done.machine.clone_from(&machine.name);
        done.hardware = machine.facts.as_ref().map(planner::storage::hardware).unwrap_or_default();
        done.what = what(tx, machine).await?;
        done.installed_over = order.install && machine.stage == Stage::Installed;
    } else if row.get(Column::Mac).is_empty() {
        let (column, message) = match row.get(Column::Serial) {
            "" => ("mac", "is needed to know the machine again when it boots"),
            _ => (
                "serial",
                "no machine with this serial number has announced itself; give its hardware address",
            ),
        };
        done.problems.push(problem(column, message));
    }
    if row.get(Column::Name).is_empty() && machine.as_ref().is_none_or(waits) {
        done.problems.push(problem("name", "is missing; give one, or a pattern for all"));
    }
    if done.what == RowWork::UnderWay || !done.problems.is_empty() {
        return Ok(done);
    }
    let written =
        Written { ctx, order, row, macs, config, hashes: hashes.unwrap_or_else(Hashes::none), actor };
    match written.write(tx, machine, &mut done).await {
        Ok(id) => touched.push(id),
        Err(Error::Invalid { title, fields, .. }) => {
            if fields.is_empty() {
                done.problems.push(problem("", &title));
            }
            done.problems.extend(fields.into_iter().map(|field| of_column(&field)));
        }
        Err(error @ (Error::Conflict { .. } | Error::NotFound { .. })) => {
            done.problems.push(problem("", &error.to_string()));
        }
        Err(error) => return Err(error),
    }
    Ok(done)
}

fn problem(column: &str, message: &str) -> FieldProblem {
    FieldProblem { field: column.to_owned(), message: message.to_owned() }
}

/// A problem of a client, at the column from which it comes.
fn of_column(wrong: &FieldProblem) -> FieldProblem {
    let field = wrong.field.as_str();
    let column = match field {
        "name" | "distribution" => field,
        _ if field.starts_with("layout") => "layout",
        _ if field.starts_with("passwords") => "password",
        _ if field.ends_with("ipv4.gateway") => "gateway",
        _ if field.starts_with("network.interfaces[0]") => "address",
        "users[0].name" => "user",
        "users[0].full_name" => "full_name",
        _ => return problem("", &format!("{field}: {}", wrong.message)),
    };
    problem(column, &wrong.message)
}

fn macs(row: &Row, problems: &mut Vec<FieldProblem>) -> Vec<Mac> {
    let mut macs = Vec::new();
    for text in row.get(Column::Mac).split_whitespace() {
        match text.parse() {
            Ok(mac) => macs.push(mac),
            Err(_) => problems
                .push(problem("mac", &format!("`{text}` is no hardware address, such as 52:54:00:12:34:56"))),
        }
    }
    macs
}

async fn find(tx: &mut Tx, known: &Known, row: &Row, macs: &[Mac]) -> Result<Option<Client>, Error> {
    for mac in macs {
        if let Some(client) = clients::find_by_mac(tx, *mac).await? {
            return Ok(Some(client));
        }
    }
    let by_facts = known.machine(row).map(|machine| machine.id);
    if let Some(id) = by_facts {
        return Ok(clients::find(tx, id).await?);
    }
    // A client without an address that fits is another machine, unless the row names nothing else.
    if macs.is_empty() && row.get(Column::Serial).is_empty() {
        return Ok(clients::find_by_name(tx, row.get(Column::Name)).await?);
    }
    Ok(None)
}

/// Whether a machine has announced itself and waits for adoption.
fn waits(machine: &Client) -> bool {
    machine.stage == Stage::Discovered
        && machine.announced_key.is_some()
        && machine.adopted_key != machine.announced_key
}

async fn what(tx: &mut Tx, machine: &Client) -> Result<RowWork, Error> {
    if machine.stage == Stage::Installing {
        let open = jobs::open(tx, machine.id).await?;
        let chain = planner::installation(machine);
        if open.iter().any(|job| chain.iter().any(|entry| entry.job_type == job.job_type)) {
            return Ok(RowWork::UnderWay);
        }
    }
    Ok(if waits(machine) { RowWork::Adopt } else { RowWork::Change })
}

fn config(
    order: &MassOrder,
    known: &Known,
    row: &Row,
    machine: Option<&Client>,
    problems: &mut Vec<FieldProblem>,
) -> ClientConfig {
    let kept = machine.map(|machine| machine.config.clone()).unwrap_or_default();
    let mut config = order.config.clone().unwrap_or(kept);
    for (field, column) in
        [(&mut config.distribution, Column::Distribution), (&mut config.layout, Column::Layout)]
    {
        if !row.get(column).is_empty() {
            row.get(column).clone_into(field);
        }
    }
    let login = row.get(Column::User);
    if login.is_empty() {
        if !row.get(Column::Password).is_empty() {
            problems.push(problem("password", "is of no user: give the user, too"));
        }
    } else {
        match config.users.first_mut() {
            Some(user) => login.clone_into(&mut user.name),
            None => config.users.push(User { name: login.to_owned(), sudo: true, ..User::default() }),
        }
    }
    if let (Some(user), false) = (config.users.first_mut(), row.get(Column::FullName).is_empty()) {
        row.get(Column::FullName).clone_into(&mut user.full_name);
    }
    if !row.get(Column::Address).is_empty() {
        match fixed(row) {
            Ok(ipv4) => {
                if let Ipv4Method::Static { address, .. } = &ipv4
                    && let Some((owner, id)) = known.owner(*address)
                    && machine.is_none_or(|machine| machine.id != id)
                {
                    problems.push(problem("address", &format!("belongs to client {owner}")));
                }
                match config.network.interfaces.first_mut() {
                    Some(interface) => interface.ipv4 = ipv4,
                    None => config.network.interfaces.push(Interface { ipv4, ..Interface::default() }),
                }
            }
            Err(wrong) => problems.push(wrong),
        }
    }
    config
}

fn fixed(row: &Row) -> Result<Ipv4Method, FieldProblem> {
    let wrong =
        || problem("address", "must be an address with the length of its network, such as 10.0.0.5/24");
    let (address, prefix) = row.get(Column::Address).split_once('/').ok_or_else(wrong)?;
    let address: Ipv4Addr = address.trim().parse().map_err(|_| wrong())?;
    let prefix = prefix.trim().parse().map_err(|_| wrong())?;
    let gateway = match row.get(Column::Gateway) {
        "" => None,
        text => Some(text.parse().map_err(|_| problem("gateway", "must be an address, such as 10.0.0.1"))?),
    };
    Ok(Ipv4Method::Static { address, prefix, gateway })
}

/// A row whose cells are understood.
struct Written<'a> {
    ctx: &'a Ctx,
    order: &'a MassOrder,
    row: &'a Row,
    macs: Vec<Mac>,
    config: ClientConfig,
    hashes: Hashes,
    actor: &'a str,
}

impl Written<'_> {
    async fn write(
        &self,
        tx: &mut Tx,
        machine: Option<Client>,
        done: &mut MassRow,
    ) -> Result<ClientId, Error> {
        let (ctx, actor) = (self.ctx, self.actor);
        let named = self.groups();
        let id = match machine {
            None => {
                let new = NewClient {
                    name: self.row.get(Column::Name).to_owned(),
                    macs: self.macs.clone(),
                    config: self.config.clone(),
                    groups: named,
                    passwords: row_passwords(self.row),
                };
                cases::create_in(ctx, tx, &new, &self.hashes, actor).await?
            }
            Some(machine) => {
                let id = machine.id;
                let mut change = ClientChange {
                    name: Some(self.row.get(Column::Name).to_owned()).filter(|name| !name.is_empty()),
                    config: Some(self.config.clone()),
                    groups: None,
                    passwords: row_passwords(self.row),
                    fingerprint: None,
                };
                if !named.is_empty() {
                    change.groups = Some(with_present(tx, &machine, named).await?);
                }
                if done.what == RowWork::Adopt {
                    change.fingerprint = self.fingerprint(&machine)?;
                    cases::adopt_in(ctx, tx, &machine, &change, &self.hashes, actor).await?;
                } else {
                    cases::apply(ctx, tx, machine, &change, &self.hashes, None, actor).await?;
                }
                id
            }
        };
        if self.order.install {
            self.install(tx, id, done).await?;
        }
        Ok(id)
    }

    fn groups(&self) -> Vec<String> {
        let in_row = self.row.get(Column::Groups).split([' ', ',', ';']).filter(|name| !name.is_empty());
        let mut named: Vec<String> = self.order.groups.clone();
        for name in in_row {
            if !named.iter().any(|other| other == name) {
                named.push(name.to_owned());
            }
        }
        named
    }

    /// The key that is adopted: the one that was shown when the table was made, else the one that is announced now.
    fn fingerprint(&self, machine: &Client) -> Result<Option<Sha256>, Error> {
        match self.row.get(Column::Fingerprint) {
            "" => Ok(machine.announced_key.clone()),
            text => text.parse().map(Some).map_err(|_| {
                Error::invalid(
                    "the fingerprint has not 64 hexadecimal digits",
                    "copy it from the machine's page",
                )
            }),
        }
    }

    async fn install(&self, tx: &mut Tx, id: ClientId, done: &mut MassRow) -> Result<(), Error> {
        let client = clients::find(tx, id).await?.ok_or_else(|| Error::not_found(format!("client {id}")))?;
        if client.facts.is_some() {
            done.disks = layouts::preview_of(self.ctx, tx, &client).await?;
            for disk in done.disks.iter().filter(|disk| !disk.destroyed.is_empty() && !self.order.wipe) {
                let message =
                    format!("{}: {} would be destroyed, which is not allowed", disk.disk, disk.destroyed);
                done.problems.push(problem("wipe", &message));
            }
        }
        if done.problems.is_empty() {
            done.jobs = installation::queue_chain(self.ctx, tx, id, self.actor).await?.jobs;
        }
        Ok(())
    }
}

/// Names of groups together with those that a client belongs to.
async fn with_present(tx: &mut Tx, client: &Client, mut named: Vec<String>) -> Result<Vec<String>, Error> {
    for group in groups::list(tx).await? {
        if client.groups.contains(&group.id) && !named.contains(&group.name) {
            named.push(group.name);
        }
    }
    Ok(named)
}
