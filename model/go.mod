module github.com/lockstep-rsm/lockstep/model

go 1.26
