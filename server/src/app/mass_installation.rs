//! Installing many machines at once: a table of them is completed, every row is checked, and then all are begun or none.
//!
//! Invariant: showing and doing are the same work in one transaction; showing takes it back. What was begun under a key is not begun again:
//! asking twice gives the first answer, without its passwords.

mod known;
mod row;

use std::collections::BTreeSet;

use serde_json::json;
use wire::{JobId, problem::FieldProblem};

use self::{known::Known, row::carry_out};
use super::{
    Error,
    approvals::{self, Wish},
    passwords::{Hashes, Passwords},
};
use crate::{
    context::Ctx,
    db::{Tx, audit, events, mass},
    domain::{
        approval::Risk,
        client::ClientConfig,
        naming::{AddressRange, NamePattern},
        sheet::{self, Column, Row},
    },
    identity::token::random_bytes,
    planner::storage::DiskPreview,
};

/// Most machines of one order.
pub const MOST: usize = 500;
/// Letters of generated passwords: none that are taken for each other on paper.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789A";

/// Machines to be installed, as a table and what fills its gaps.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MassOrder {
    /// The table: text separated by `;`, tabs or commas, with a head that names the columns: `name`, `mac`, `serial`, `address`, `gateway`,
    /// `groups`, `distribution`, `layout`, `user`, `full_name`, `password`, `fingerprint`.
    pub sheet: String,
    /// What is wanted where the table says nothing; without it, machines that are known keep what they have.
    pub config: Option<ClientConfig>,
    /// Groups that all of them come into, beside those in the table.
    pub groups: Vec<String>,
    /// Pattern for names that are missing, such as `pc-{001..}`.
    pub names: String,
    /// Range for addresses that are missing, such as `10.0.0.10-10.0.0.99/24`; those of known clients are left out.
    pub addresses: String,
    /// Default gateway where the table has none.
    pub gateway: String,
    /// Make a password for each user who has none.
    pub passwords: bool,
    /// Install them; otherwise they are only registered or adopted.
    pub install: bool,
    /// Install those, too, whose disks hold something, which is then destroyed.
    pub wipe: bool,
    /// A random word: what was begun under it is not begun again.
    pub key: String,
}

impl Default for MassOrder {
    fn default() -> Self {
        Self {
            sheet: String::new(),
            config: None,
            groups: Vec::new(),
            names: String::new(),
            addresses: String::new(),
            gateway: String::new(),
            passwords: false,
            install: true,
            wipe: false,
            key: String::new(),
        }
    }
}

/// What becomes of the machines.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct MassPlan {
    /// Each machine.
    pub rows: Vec<MassRow>,
    /// What is wrong with the order as a whole.
    pub problems: Vec<FieldProblem>,
    /// The table with its gaps filled; ordering it gives exactly these rows.
    pub sheet: String,
    /// It is begun.
    pub done: bool,
}

/// What becomes of one machine.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct MassRow {
    /// The line of the table.
    pub line: u64,
    /// Its cells by the columns' names, complete.
    pub cells: std::collections::BTreeMap<String, String>,
    /// What is done with it.
    pub what: RowWork,
    /// Name of the machine as it is known now; empty for one that is not.
    pub machine: String,
    /// Its maker, model and disks in one line, when it is known.
    pub hardware: String,
    /// What would be written and destroyed; empty while its disks are not known.
    pub disks: Vec<DiskPreview>,
    /// What is wrong, by column.
    pub problems: Vec<FieldProblem>,
    /// An installed system is replaced.
    pub installed_over: bool,
    /// The jobs that were queued.
    pub jobs: Vec<JobId>,
}

/// What is done with a machine.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum RowWork {
    /// It becomes a new client, and is installed when it boots.
    #[default]
    Register,
    /// It has announced itself, and is adopted.
    Adopt,
    /// It is a client already, and is changed.
    Change,
    /// Its installation is under way: nothing is done.
    UnderWay,
}

impl RowWork {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Adopt => "adopt",
            Self::Change => "change",
            Self::UnderWay => "under-way",
        }
    }
}

impl MassPlan {
    /// Whether it can be begun.
    pub fn is_ready(&self) -> bool {
        self.problems.is_empty()
            && !self.rows.is_empty()
            && self.rows.iter().all(|row| row.problems.is_empty())
    }

    fn all_problems(&self) -> Vec<FieldProblem> {
        let of_rows = self.rows.iter().enumerate().flat_map(|(at, row)| {
            row.problems.iter().map(move |problem| FieldProblem {
                field: format!("rows[{at}].{}", problem.field).trim_end_matches('.').to_owned(),
                message: problem.message.clone(),
            })
        });
        self.problems.iter().cloned().chain(of_rows).collect()
    }
}

/// Shows what would become of the machines; nothing is done.
///
/// # Errors
/// The database refuses; what is wrong with the order stands in the plan.
pub async fn preview(ctx: &Ctx, order: &MassOrder, actor: &str) -> Result<MassPlan, Error> {
    let mut tx = ctx.db.write().await?;
    let (plan, _) = work(ctx, &mut tx, order, Vec::new(), actor).await?;
    Ok(plan)
}

/// Begins with all machines, or with none.
///
/// # Errors
/// [`Error::Invalid`] with every row and column that is wrong.
pub async fn begin(ctx: &Ctx, order: &MassOrder, actor: &str) -> Result<MassPlan, Error> {
    if let Some(plan) = begun(&mut ctx.db.read().await?, order).await? {
        return Ok(plan);
    }
    // What is wrong is told before a second person is asked, and whom it is for must be known by then.
    let shown = preview(ctx, order, actor).await?;
    check_ready(&shown)?;
    let over = shown.rows.iter().any(|row| row.installed_over).then_some(Risk::InstallOver);
    let machines = shown.rows.len();
    let wish = Wish::MassInstall { order: Box::new(without_passwords(order, &shown)) };
    // With the gaps filled once and for all, and the passwords hashed before anybody has to wait for the database.
    let order = &MassOrder { sheet: shown.sheet, ..order.clone() };
    let mut hashes = Vec::new();
    for row in sheet::read(&order.sheet).unwrap_or_default() {
        hashes.push(row_passwords(&row).hash().await?);
    }
    let tx = ctx.db.write().await?;
    let mut tx = approvals::gate(ctx, tx, &wish, over, machines, actor).await?;
    if let Some(plan) = begun(&mut tx, order).await? {
        return Ok(plan);
    }
    let (plan, clients) = work(ctx, &mut tx, order, hashes, actor).await?;
    check_ready(&plan)?;
    let plan = MassPlan { done: true, ..plan };
    if !order.key.is_empty() {
        let mut kept = plan.clone();
        kept.sheet.clear();
        for row in &mut kept.rows {
            row.cells.remove(Column::Password.as_str());
        }
        let text = serde_json::to_string(&kept).map_err(|error| Error::Internal(error.into()))?;
        mass::keep(&mut tx, &order.key, &text, actor, ctx.now()).await?;
    }
    let names: Vec<_> = plan.rows.iter().filter_map(|row| row.cells.get(Column::Name.as_str())).collect();
    let after = json!({ "machines": names, "install": order.install, "wipe": order.wipe });
    audit::note(&mut tx, "client.mass-install", "machines", &(), &after).await?;
    let detail = format!("{} machines", plan.rows.len());
    events::add(&mut tx, "client.mass-installation", None, None, actor, &detail, ctx.now()).await?;
    tx.commit().await?;
    for client in clients {
        ctx.presence.work_waits_for(client);
    }
    ctx.presence.events_came();
    Ok(plan)
}

/// What was begun under the order's key before.
async fn begun(tx: &mut Tx, order: &MassOrder) -> Result<Option<MassPlan>, Error> {
    if order.key.is_empty() {
        return Ok(None);
    }
    let outcome = mass::find(tx, &order.key).await?;
    outcome
        .map(|outcome| serde_json::from_str(&outcome).map_err(|error| Error::Internal(error.into())))
        .transpose()
}

fn check_ready(plan: &MassPlan) -> Result<(), Error> {
    if plan.is_ready() {
        return Ok(());
    }
    let mut problems = plan.all_problems();
    if problems.is_empty() {
        problems.push(FieldProblem { field: "sheet".to_owned(), message: "names no machine".to_owned() });
    }
    Err(Error::fields("nothing was begun, because a row is wrong", problems))
}

/// The order as somebody else may read it later.
fn without_passwords(order: &MassOrder, shown: &MassPlan) -> MassOrder {
    let mut rows = sheet::read(&shown.sheet).unwrap_or_default();
    for row in &mut rows {
        row.set(Column::Password, "");
    }
    MassOrder { sheet: sheet::write(&rows), passwords: false, ..order.clone() }
}

/// Does everything inside a transaction; whoever calls commits it, or not. There are as many hashes as rows, or none when it is not for good.
async fn work(
    ctx: &Ctx,
    tx: &mut Tx,
    order: &MassOrder,
    hashes: Vec<Hashes>,
    actor: &str,
) -> Result<(MassPlan, Vec<wire::ClientId>), Error> {
    let mut plan = MassPlan::default();
    let mut rows = match sheet::read(&order.sheet) {
        Ok(rows) => rows,
        Err(problems) => return Ok((MassPlan { problems, ..plan }, Vec::new())),
    };
    if rows.len() > MOST {
        let message = format!("has {} machines; at most {MOST} are installed at once", rows.len());
        plan.problems.push(FieldProblem { field: "sheet".to_owned(), message });
        return Ok((plan, Vec::new()));
    }
    let known = Known::read(tx).await?;
    let mut problems = complete(order, &known, &mut rows);
    plan.problems.append(&mut problems);
    let twice = repeated(&rows);
    let mut touched = Vec::new();
    let mut hashes = hashes.into_iter();
    for (at, row) in rows.iter().enumerate() {
        let mut done = carry_out(ctx, tx, order, &known, row, hashes.next(), actor, &mut touched).await?;
        done.problems
            .extend(twice.iter().filter(|(other, _)| *other == at).map(|(_, problem)| problem.clone()));
        plan.rows.push(done);
    }
    plan.sheet = sheet::write(&rows);
    Ok((plan, touched))
}

fn row_passwords(row: &Row) -> Passwords {
    let (user, password) = (row.get(Column::User), row.get(Column::Password));
    if user.is_empty() || password.is_empty() {
        return Passwords::default();
    }
    Passwords([(user.to_owned(), password.to_owned())].into())
}

/// Fills the gaps of the table.
fn complete(order: &MassOrder, known: &Known, rows: &mut [Row]) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    let mut problem = |field: &str, message: String| {
        problems.push(FieldProblem { field: field.to_owned(), message });
    };
    let mut names: BTreeSet<String> =
        known.names().chain(rows.iter().map(|row| row.get(Column::Name).to_owned())).collect();
    let pattern = match order.names.trim() {
        "" => None,
        text => NamePattern::parse(text).map_err(|error| problem("names", error.to_string())).ok(),
    };
    let range = match order.addresses.trim() {
        "" => None,
        text => AddressRange::parse(text).map_err(|error| problem("addresses", error.to_string())).ok(),
    };
    let mut addresses = known.addresses_in_use();
    addresses.extend(rows.iter().filter_map(|row| {
        row.get(Column::Address).split('/').next()?.trim().parse::<std::net::Ipv4Addr>().ok()
    }));
    for row in rows {
        if let (Some(pattern), "") = (&pattern, row.get(Column::Name)) {
            let facts = known.machine(row).and_then(|machine| machine.facts.as_ref());
            match pattern.next(&mut names, facts) {
                Ok(name) => row.set(Column::Name, name),
                Err(error) => problem("names", error.to_string()),
            }
        }
        if let (Some(range), "") = (&range, row.get(Column::Address)) {
            match range.next(&mut addresses) {
                Ok(address) => row.set(Column::Address, format!("{address}/{}", range.prefix)),
                Err(error) => problem("addresses", error.to_string()),
            }
        }
        if !order.gateway.trim().is_empty()
            && row.get(Column::Gateway).is_empty()
            && !row.get(Column::Address).is_empty()
        {
            row.set(Column::Gateway, order.gateway.trim());
        }
        // Who logs in where the table says nothing is the configuration's first user.
        let first = order.config.as_ref().and_then(|config| config.users.first());
        if let (Some(user), "") = (first, row.get(Column::User)) {
            row.set(Column::User, &*user.name);
        }
        if order.passwords && !row.get(Column::User).is_empty() && row.get(Column::Password).is_empty() {
            row.set(Column::Password, password());
        }
    }
    problems
}

/// Three groups of four letters: 60 bits.
fn password() -> String {
    let letters: Vec<char> = random_bytes::<12>()
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
        .collect();
    letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// Names, addresses and serial numbers that stand in two rows.
fn repeated(rows: &[Row]) -> Vec<(usize, FieldProblem)> {
    let mut found = Vec::new();
    for column in [Column::Name, Column::Mac, Column::Serial, Column::Address] {
        let value = |row: &Row| row.get(column).to_lowercase();
        for (at, row) in rows.iter().enumerate() {
            let first =
                rows[..at].iter().find(|other| !value(other).is_empty() && value(other) == value(row));
            if let Some(first) = first {
                let message = format!("stands in line {} already", first.line);
                found.push((at, FieldProblem { field: column.as_str().to_owned(), message }));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<Row> {
        sheet::read(text).unwrap()
    }

    #[test]
    fn gaps_are_filled_with_what_nobody_uses() {
        let order = MassOrder {
            names: "pc-{001..}".to_owned(),
            addresses: "10.0.0.10-10.0.0.20/24".to_owned(),
            gateway: "10.0.0.1".to_owned(),
            passwords: true,
            ..MassOrder::default()
        };
        let mut rows = rows("name;mac;address;user\n;a;;ann\npc-001;b;10.0.0.10/24;\n");
        assert_eq!(complete(&order, &Known::default(), &mut rows), []);
        let shown = |row: &Row| {
            [Column::Name, Column::Address, Column::Gateway].map(|column| row.get(column).to_owned())
        };
        assert_eq!(shown(&rows[0]), ["pc-002", "10.0.0.11/24", "10.0.0.1"]);
        assert_eq!(shown(&rows[1]), ["pc-001", "10.0.0.10/24", "10.0.0.1"]);
        assert_eq!((rows[0].get(Column::Password).len(), rows[1].get(Column::Password)), (14, ""));
    }

    #[test]
    fn what_stands_in_two_rows_is_told_at_the_second() {
        let found = repeated(&rows("name;mac\npc-1;52:54:00:00:00:01\npc-2;52:54:00:00:00:01\n"));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0, found[0].1.field.as_str()), (1, "mac"));
    }
}
