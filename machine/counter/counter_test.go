package counter_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/machine/machinetest"
)

func command(r *rand.Rand) []byte {
	b, err := counter.Machine.EncodeCommand(counter.Add{N: r.Int64N(200) - 90})
	if err != nil {
		panic(err)
	}
	return b
}

func query(*rand.Rand) []byte {
	b, err := counter.Machine.EncodeQuery(counter.Get{})
	if err != nil {
		panic(err)
	}
	return b
}

func TestCounterPassesTheSuite(t *testing.T) {
	machinetest.Run(t, counter.Machine.Kind(), command, query)
}

func TestAddBelowZeroIsRefusedAndChangesNothing(t *testing.T) {
	m, err := counter.Machine.Kind().New(&machine.Place{})
	if err != nil {
		t.Fatal(err)
	}
	var batch []machine.Command
	for _, n := range []int64{5, -6, -5} {
		data, err := counter.Machine.EncodeCommand(counter.Add{N: n})
		if err != nil {
			t.Fatal(err)
		}
		batch = append(batch, machine.Command{Data: data})
	}
	var out machine.Results
	if err := m.Apply(batch, &out); err != nil {
		t.Fatal(err)
	}
	if _, no := out.At(1); !errors.Is(no, counter.ErrNegative) {
		t.Errorf("5 − 6 gave %v, want ErrNegative", no)
	}
	data, no := out.At(2)
	if n, err := counter.Machine.DecodeReply(data); err != nil || no != nil || n != 0 {
		t.Errorf("5 − 5 after a refusal gave %d, %v, %v", n, no, err)
	}
}

func Example() {
	m, _ := counter.Machine.Kind().New(&machine.Place{})
	data, _ := counter.Machine.EncodeCommand(counter.Add{N: 3})
	var out machine.Results
	_ = m.Apply([]machine.Command{{Data: data}}, &out)
	reply, _ := out.At(0)
	n, _ := counter.Machine.DecodeReply(reply)
	fmt.Println("counter is", n)
	// Output: counter is 3
}

func BenchmarkApply(b *testing.B) {
	data, err := counter.Machine.EncodeCommand(counter.Add{N: 1})
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{1, 256} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			m, err := counter.Machine.Kind().New(&machine.Place{})
			if err != nil {
				b.Fatal(err)
			}
			batch := make([]machine.Command, size)
			for i := range batch {
				batch[i].Data = data
			}
			var out machine.Results
			b.ReportAllocs()
			for done := 0; done < b.N; done += size {
				out.Reset()
				if err := m.Apply(batch, &out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/cmd")
		})
	}
}
