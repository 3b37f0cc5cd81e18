package deploy_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// An object is one of Kubernetes, as far as the tests look.
type object struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Selector any
		Ports    []struct {
			Name       string
			TargetPort string `yaml:"targetPort"`
		}
		ServiceName string `yaml:"serviceName"`
		Template    struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				TerminationGracePeriodSeconds int `yaml:"terminationGracePeriodSeconds"`
				Containers                    []container
				Volumes                       []struct {
					Name      string
					ConfigMap struct{ Name string } `yaml:"configMap"`
				}
			}
		}
	}
}

type container struct {
	Image string
	Args  []string
	Env   []struct{ Name string }
	Ports []struct {
		Name string
		Port int `yaml:"containerPort"`
	}
	ReadinessProbe probe `yaml:"readinessProbe"`
	LivenessProbe  probe `yaml:"livenessProbe"`
	VolumeMounts   []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

type probe struct {
	HTTPGet struct{ Path, Port, Scheme string } `yaml:"httpGet"`
}

// kubernetes are the objects by kind and name, and the settings of the servers.
func kubernetes(t *testing.T) (objects map[string]object, settings map[string]any) {
	t.Helper()
	objects = map[string]object{}
	for _, d := range documents(t, "kubernetes/restante.yaml") {
		o := as[object](t, d)
		objects[o.Kind+" "+o.Metadata.Name] = o
	}
	if err := yaml.Unmarshal([]byte(objects["ConfigMap restante"].Data["restante.yaml"]), &settings); err != nil || len(settings) == 0 {
		t.Fatalf("settings %v, %v", settings, err)
	}
	return objects, settings
}

func TestKubernetesStartsWhatTheProgramKnows(t *testing.T) {
	objects, settings := kubernetes(t)
	for name, file := range map[string]map[string]any{"StatefulSet restante": settings, "Job restante-schema": nil} {
		pod := objects[name].Spec.Template.Spec
		if len(pod.Containers) != 1 || len(pod.Volumes) == 0 || pod.Volumes[0].ConfigMap.Name != "restante" {
			t.Fatalf("%s: %+v", name, pod)
		}
		c := pod.Containers[0]
		env := make([]string, len(c.Env))
		for i, e := range c.Env {
			env[i] = e.Name
		}
		commandLine{c.Args, env}.check(t, name, file)
		if !pinned.MatchString(c.Image) {
			t.Errorf("%s is of %s, any version", name, c.Image)
		}
		config := "/etc/restante/restante.yaml"
		if !slices.Contains(c.Args, config) || c.VolumeMounts[0].Name != "config" {
			t.Errorf("%s does not read %s", name, config)
		}
	}
}

func TestKubernetesLeadsToPortsThatListen(t *testing.T) {
	objects, settings := kubernetes(t)
	pod := objects["StatefulSet restante"].Spec.Template
	c := pod.Spec.Containers[0]
	open := map[string]bool{}
	for _, p := range c.Ports {
		open[p.Name] = true
		if listens := fmt.Sprintf("0.0.0.0:%d", p.Port); settings[p.Name] != listens {
			t.Errorf("port %s is %s, and the server listens on %v", p.Name, listens, settings[p.Name])
		}
	}
	services := 0
	for name, o := range objects {
		if o.Kind != "Service" {
			continue
		}
		services++
		for _, p := range o.Spec.Ports {
			if !open[p.TargetPort] {
				t.Errorf("%s leads to %s, which is not open", name, p.TargetPort)
			}
		}
		if selector := as[map[string]string](t, o.Spec.Selector); !maps.Equal(selector, pod.Metadata.Labels) {
			t.Errorf("%s selects %v, the servers are %v", name, selector, pod.Metadata.Labels)
		}
	}
	if _, ok := objects["Service "+objects["StatefulSet restante"].Spec.ServiceName]; !ok || services != 2 {
		t.Errorf("%d services, and that of the set is not among them", services)
	}
	budget := as[struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}](t, objects["PodDisruptionBudget restante"].Spec.Selector)
	if !maps.Equal(budget.MatchLabels, pod.Metadata.Labels) {
		t.Errorf("the budget is for %v", budget.MatchLabels)
	}
}

func TestKubernetesMountsWhatTheServerReads(t *testing.T) {
	objects, settings := kubernetes(t)
	mounts := objects["StatefulSet restante"].Spec.Template.Spec.Containers[0].VolumeMounts
	for _, setting := range []string{"data", "tls-cert", "tls-key"} {
		path := settings[setting].(string)
		mounted := false
		for _, m := range mounts {
			mounted = mounted || path == m.MountPath || strings.HasPrefix(path, m.MountPath+"/")
		}
		if !mounted {
			t.Errorf("%s: %s is mounted nowhere", setting, path)
		}
	}
}

func TestKubernetesAsksPagesThatThereAre(t *testing.T) {
	objects, _ := kubernetes(t)
	c := objects["StatefulSet restante"].Spec.Template.Spec.Containers[0]
	s := serve(t, "--store=embedded")
	for _, p := range []probe{c.ReadinessProbe, c.LivenessProbe} {
		if p.HTTPGet.Port != "admin" || p.HTTPGet.Scheme != "HTTPS" {
			t.Errorf("asks %+v", p.HTTPGet)
		}
		r, err := http.Get("http://" + s.admin + p.HTTPGet.Path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", p.HTTPGet.Path, r.Status)
		}
	}
}
