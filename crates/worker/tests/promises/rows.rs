//! A few rows, written as an application would.

use lockstep_core::TenancyId;
use uuid::Uuid;

use crate::fixture::WorkerFixture;

impl WorkerFixture {
    /// A tenancy with a project of its own.
    pub(crate) async fn tenancy(&self) -> TenancyId {
        let id = Uuid::new_v4();
        self.run_sql(&format!(
            r#"INSERT INTO "Project" ("id", "displayName", "isProductionMode", "updatedAt") VALUES ('project {id}', 'P', FALSE, now());
               INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt") VALUES ('{id}', 'project {id}', 'main', 'TRUE', now())"#
        ))
        .await;
        TenancyId::new(id)
    }

    /// A tenancy whose arrival has passed: rows that come later are numbered once.
    pub(crate) async fn known_tenancy(&self) -> TenancyId {
        let tenancy = self.tenancy().await;
        self.pass().await;
        tenancy
    }

    /// A tenancy of an organisation, at the project and branch of another.
    pub(crate) async fn organisation(&self, beside: TenancyId) -> TenancyId {
        let id = Uuid::new_v4();
        let sql = format!(
            r#"INSERT INTO "Tenancy" ("id", "projectId", "branchId", "organizationId", "updatedAt")
               SELECT '{id}', "projectId", "branchId", gen_random_uuid(), now() FROM "Tenancy" WHERE "id" = '{beside}'"#
        );
        self.run_sql(&sql).await;
        TenancyId::new(id)
    }

    /// A user; returns its id.
    pub(crate) async fn user(&self, tenancy: TenancyId, name: &str) -> Uuid {
        let id = Uuid::new_v4();
        self.user_of_id(tenancy, id, name).await;
        id
    }

    /// A user with an id that others may have too.
    pub(crate) async fn user_of_id(&self, tenancy: TenancyId, id: Uuid, name: &str) {
        let sql = r#"INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
            VALUES ($1, $2, 'p', $1::uuid::text, $3, now())"#;
        self.client.execute(sql, &[&tenancy.as_uuid(), &id, &name]).await.unwrap();
    }

    /// Many users at once.
    pub(crate) async fn users(&self, tenancy: TenancyId, count: i32) {
        let sql = r#"INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
            SELECT $1, gen_random_uuid(), 'p', $1::uuid::text, 'user ' || n, now() FROM generate_series(1, $2::int) n"#;
        self.client.execute(sql, &[&tenancy.as_uuid(), &count]).await.unwrap();
    }

    /// Grants a permission: its key is user and permission, whatever its id.
    pub(crate) async fn grant(&self, tenancy: TenancyId, user: Uuid) {
        let sql = r#"INSERT INTO "ProjectUserDirectPermission" ("id", "tenancyId", "projectUserId", "permissionId", "updatedAt")
            VALUES (gen_random_uuid(), $1, $2, 'read', now())"#;
        self.client.execute(sql, &[&tenancy.as_uuid(), &user]).await.unwrap();
    }

    /// Takes it away again.
    pub(crate) async fn revoke(&self, user: Uuid) {
        let sql = r#"DELETE FROM "ProjectUserDirectPermission" WHERE "projectUserId" = $1"#;
        assert_eq!(self.client.execute(sql, &[&user]).await.unwrap(), 1);
    }

    /// How many permissions tenants see.
    pub(crate) async fn permissions_seen(&self) -> String {
        self.ask("SELECT count() FROM {views}.project_permissions").await
    }
}
